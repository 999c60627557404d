"""The metric ``roc_auc``."""

from __future__ import annotations

from math import nan

import numpy as np

from mlpframe.api import Array, Metric, register


@register("roc_auc")
class RocAuc(Metric):
    """The area under the receiver operating characteristic, of each class against the rest, averaged.

    AUC = the share of pairs of a row of a class and a row of none whose p of the class are ordered rightly
    = (Σ ranks of the class's rows − n₁ (n₁ + 1) / 2) / (n₁ n₀)

    n₁ is the number of rows of the class, n₀ that of the others; a pair of equal p counts half. With two
    classes it is the area for the second one, with more the mean over the classes that have rows and rows
    against them, each counting the same; NaN where there is none, as with one row. p is (n, classes), the
    target (n,) class numbers; only the order of the p of a class matters, so scores do as well.

    Source: Hanley, McNeil 1982, "The meaning and use of the area under a receiver operating characteristic
    (ROC) curve"; Provost, Domingos 2000, "Well-trained PETs: improving probability estimation trees".
    """

    tasks = ("classification",)

    def compute(self, prediction: Array, target: Array) -> float:
        from scipy.stats import rankdata

        n, classes = prediction.shape
        target = target.astype(np.intp)
        ranks = np.take_along_axis(rankdata(prediction, axis=0), target[:, None], 1)[:, 0]
        sums = np.bincount(target, ranks, classes)
        inside = np.bincount(target, minlength=classes)
        pairs = inside * (n - inside)
        if classes == 2:
            pairs[0] = 0
        counted = pairs > 0
        if not counted.any():
            return nan
        above = sums - inside * (inside + 1) / 2
        return float(np.mean(above[counted] / pairs[counted]))
