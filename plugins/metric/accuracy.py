"""The metric ``accuracy``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, register


@register("accuracy")
class Accuracy(Metric):
    """The share of rows whose most probable class is the true one.

    accuracy = mean over rows of [argmax_j p_j = c]

    p is (n, classes), c (n,) class numbers; if several classes are equally probable, the first counts.
    """

    tasks = ("classification",)

    def compute(self, prediction: Array, target: Array) -> float:
        return float(np.mean(prediction.argmax(-1) == target))
