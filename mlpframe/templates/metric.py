"""The metric ``template``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, register


@register("template")
class Template(Metric):
    """The mean absolute error over all rows and outputs.

    MAE = mean of |prediction − target|

    prediction and target are (n, outputs).
    """

    tasks = ("regression",)

    def compute(self, prediction: Array, target: Array) -> float:
        return float(np.abs(prediction - target).mean(dtype=np.float64))
