"""The metric ``precision``."""

from __future__ import annotations

from mlpframe.api import Array, register

from ._averages import Averaged


@register("precision")
class Precision(Averaged):
    """Of the rows that are taken for a class, the share that are of it; averaged over the classes.

    precision = mean over the classes of TP / (TP + FP)  (macro)  or  Σ TP / Σ (TP + FP)  (micro)

    TP is the number of rows of a class that are taken for it, FP that of other rows that are. A class that no
    row is taken for counts 0, and one that no row is of either is left out, as in scikit-learn. The micro
    average is the accuracy. p is (n, classes), the target (n,) class numbers; the most probable class is the
    one that a row is taken for, of equal ones the first.

    Options:
        average: macro (every class counts the same) or micro (every row does).
    """

    def compute(self, prediction: Array, target: Array) -> float:
        return self.scores(prediction, target)[0]
