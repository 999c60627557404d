"""Record runs in MLflow. Only this package imports MLflow.

MLflow takes seconds to import and milliseconds to log a value. So MLflow runs in a process of its own
(``worker``), and the training process only writes messages to a pipe (``client``).
"""
