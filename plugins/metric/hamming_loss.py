"""The metric ``hamming_loss``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, multi_hot, register


@register("hamming_loss")
class HammingLoss(Metric):
    """The share of wrong answers over all rows and classes, where a row may have several classes.

    Hamming loss = mean over rows and classes j of [[p_j > 0.5] ≠ t_j]

    0 is perfect. With rare classes, a network that predicts no class at all has a small Hamming loss too. p
    is (n, classes), t (n, classes): 1 for each class that the row has, else 0.

    Source: Schapire, Singer 1999, "Improved boosting algorithms using confidence-rated predictions".
    """

    tasks = ("multilabel",)

    def compute(self, prediction: Array, target: Array) -> float:
        return float(np.mean(multi_hot(prediction) != target))
