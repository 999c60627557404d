"""The metric ``error_rate``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, register


@register("error_rate")
class ErrorRate(Metric):
    """The share of rows whose most probable class is not the true one: 1 − accuracy.

    error rate = mean over rows of [argmax_j p_j ≠ c]

    p is (n, classes), c (n,) class numbers; if several classes are equally probable, the first counts.
    """

    tasks = ("classification",)

    def compute(self, prediction: Array, target: Array) -> float:
        return float(np.mean(prediction.argmax(-1) != target))
