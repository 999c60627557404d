"""The metric ``mae``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, register


@register("mae")
class MeanAbsoluteError(Metric):
    """The mean absolute error, over the rows and over the outputs.

    MAE = mean of |ŷ − y|

    ŷ and y are (n, n_outputs); the mean is taken in float64.
    """

    tasks = ("regression",)

    def compute(self, prediction: Array, target: Array) -> float:
        return float(np.mean(np.abs(prediction - target), dtype=np.float64))
