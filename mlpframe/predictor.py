"""The name by which MLflow models of mlpframe 0.1.0 load; everything else imports ``mlpframe.training``.

MLflow copies the Python file of a model beside the model. The copies that 0.1.0 has made import this name.
"""

from .training.predictor import Predictor

__all__ = ["Predictor"]
