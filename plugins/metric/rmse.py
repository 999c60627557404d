"""The metric ``rmse``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, register


@register("rmse")
class RootMeanSquaredError(Metric):
    """The root of the mean squared error of each output, averaged over the outputs.

    RMSE = mean over the outputs of √(mean over the rows of (ŷ − y)²)

    This is scikit-learn's root_mean_squared_error. With several outputs it is at most the root of the loss
    mse, whose mean runs over rows and outputs. ŷ and y are (n, n_outputs); means are taken in float64.
    """

    tasks = ("regression",)

    def compute(self, prediction: Array, target: Array) -> float:
        squares = np.square(np.subtract(prediction, target, dtype=np.float64))
        return float(np.sqrt(squares.mean(0)).mean())
