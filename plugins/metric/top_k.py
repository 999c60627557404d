"""The metric ``top_k``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, check_range, register


@register("top_k")
class TopK(Metric):
    """The share of rows whose true class is among the k most probable ones.

    top-k accuracy = mean over rows of [at least n_classes − k classes are less probable than c]

    With k = 1 this is the accuracy; with k classes or fewer it is always 1. If several classes are equally
    probable, the first counts as more probable. p is (n, classes), c (n,) class numbers.

    Options:
        k: number of most probable classes, at least 1.
    """

    tasks = ("classification",)
    examples = ({"k": 2},)

    def __init__(self, *, k: int = 5) -> None:
        check_range("k", k, minimum=1)
        self.k = k

    def compute(self, prediction: Array, target: Array) -> float:
        classes = prediction.shape[1]
        c = target[:, None].astype(np.intp)
        p = np.take_along_axis(prediction, c, 1)
        less = (prediction < p) | ((prediction == p) & (np.arange(classes) > c))
        return float(np.mean(np.count_nonzero(less, 1) >= classes - self.k))
