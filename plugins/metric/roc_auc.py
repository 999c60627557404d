"""The metric ``roc_auc``."""

from __future__ import annotations

from math import nan

import numpy as np

from mlpframe.api import Array, Metric, register


@register("roc_auc")
class RocAuc(Metric):
    """The area under the receiver operating characteristic of each class against the rest, averaged.

    AUC = the share of pairs (row of the class, row of another class) whose first row has the higher p
    = (Σ ranks of the class's rows − n₁ (n₁ + 1) / 2) / (n₁ n₀)

    p is the probability of the class, n₁ the number of its rows, n₀ the number of other rows; a pair of equal
    p counts half. With two classes the metric is the area for the second class. With more classes it is the
    unweighted mean over the classes with n₁ > 0 and n₀ > 0. If there is no such class, as with one row, the
    metric is NaN. p is (n, classes), the target (n,) class numbers; only the order of a class's p matters, so
    p need not be probabilities. If a row may have several classes (multilabel), the target is (n, classes), 1
    for each class that the row has and else 0; with two classes the metric is then the mean over both.

    Source: Hanley, McNeil 1982, "The meaning and use of the area under a receiver operating characteristic
    (ROC) curve"; Provost, Domingos 2000, "Well-trained PETs: improving probability estimation trees".
    """

    tasks = ("classification", "multilabel")

    def compute(self, prediction: Array, target: Array) -> float:
        from scipy.stats import rankdata

        n, classes = prediction.shape
        target, ranks = target.astype(np.intp), rankdata(prediction, axis=0)
        if target.ndim == 2:
            sums, inside = (ranks * target).sum(0), target.sum(0)
        else:
            sums = np.bincount(target, np.take_along_axis(ranks, target[:, None], 1)[:, 0], classes)
            inside = np.bincount(target, minlength=classes)
        pairs = inside * (n - inside)
        if classes == 2 and target.ndim == 1:
            pairs[0] = 0
        counted = pairs > 0
        if not counted.any():
            return nan
        above = sums - inside * (inside + 1) / 2
        return float(np.mean(above[counted] / pairs[counted]))
