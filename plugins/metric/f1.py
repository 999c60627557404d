"""The metric ``f1``."""

from __future__ import annotations

from mlpframe.api import Array, register

from ._averages import Averaged


@register("f1")
class F1(Averaged):
    """The harmonic mean of precision and recall of a class; averaged over the classes.

    F₁ = mean over the classes of 2 TP / (2 TP + FP + FN)  (macro)  or  the same of the sums  (micro)

    TP is the number of rows of a class that are taken for it, FN that of those that are not, FP that of other
    rows that are. The macro average is that of the classes' F₁, not F₁ of the averages. A class that no row
    is of or taken for is left out, as in scikit-learn. The micro average is the accuracy. p is (n, classes),
    the target (n,) class numbers; the most probable class is the one that a row is taken for, of equal ones
    the first.

    Options:
        average: macro (every class counts the same) or micro (every row does).

    Source: van Rijsbergen 1979, "Information retrieval".
    """

    def compute(self, prediction: Array, target: Array) -> float:
        return self.scores(prediction, target)[2]
