"""Recording runs in MLflow: the only place that imports it.

MLflow takes seconds to import and milliseconds to log, so it lives in a process of its own (``worker``);
training only writes messages to a pipe (``client``).
"""
