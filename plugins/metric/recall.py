"""The metric ``recall``."""

from __future__ import annotations

from mlpframe.api import Array, register

from ._averages import Averaged


@register("recall")
class Recall(Averaged):
    """Of the rows of a class, the share that are taken for it; averaged over the classes.

    recall = mean over the classes of TP / (TP + FN)  (macro)  or  Σ TP / Σ (TP + FN)  (micro)

    TP is the number of rows of a class that are taken for it, FN that of those that are not. A class that no
    row is of, but some row is taken for, counts 0, and one of neither kind is left out, as in scikit-learn.
    The micro average is the accuracy. p is (n, classes), the target (n,) class numbers; the most probable
    class is the one that a row is taken for, of equal ones the first.

    Options:
        average: macro (every class counts the same) or micro (every row does).
    """

    def compute(self, prediction: Array, target: Array) -> float:
        return self.scores(prediction, target)[1]
