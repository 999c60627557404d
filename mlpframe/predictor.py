"""Lets MLflow load models of mlpframe 0.1.0; all other code imports ``mlpframe.training``.

MLflow saves a copy of a model's Python file beside the model. The copies from mlpframe 0.1.0 import
``mlpframe.predictor``.
"""

from .training.predictor import Predictor

__all__ = ["Predictor"]
