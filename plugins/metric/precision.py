"""The metric ``precision``."""

from __future__ import annotations

from mlpframe.api import Array, register

from ._averages import Averaged


@register("precision")
class Precision(Averaged):
    """Of the rows predicted as a class, the share that belong to the class; averaged over the classes.

    precision = mean over the classes of TP / (TP + FP)  (macro)  or  Σ TP / Σ (TP + FP)  (micro)

    TP counts the rows of a class that are predicted as the class, FP the rows of other classes predicted as
    the class. If no row is predicted as a class, the class counts as 0 if it has rows, and is left out
    otherwise, as in scikit-learn. The micro average is the accuracy. p is (n, classes), the target (n,) class
    numbers. Each row is predicted as its most probable class, or the first of several equally probable
    classes.

    If a row may have several classes (multilabel), the target is (n, classes), 1 for each class that the row
    has and else 0, and each class with p > 0.5 is predicted. Then the average includes every class, 0 / 0
    counts as 0, and the micro average is not the accuracy.

    Options:
        average: macro (every class counts the same) or micro (every row counts the same).
    """

    def compute(self, prediction: Array, target: Array) -> float:
        return self.scores(prediction, target)[0]
