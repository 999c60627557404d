"""The metric ``f1``."""

from __future__ import annotations

from mlpframe.api import Array, register

from ._averages import Averaged


@register("f1")
class F1(Averaged):
    """The harmonic mean of precision and recall of a class; averaged over the classes.

    F₁ = mean over the classes of 2 TP / (2 TP + FP + FN)  (macro)  or  2 Σ TP / Σ (2 TP + FP + FN)  (micro)

    TP counts the rows of a class that are predicted as the class, FN the rows of the class predicted as
    another, FP the rows of other classes predicted as the class. The macro average is the mean of the
    classes' F₁, not F₁ of the mean precision and recall. A class without rows is left out if no row is
    predicted as the class either, as in scikit-learn. The micro average is the accuracy. p is (n, classes),
    the target (n,) class numbers. Each row is predicted as its most probable class, or the first of several
    equally probable classes.

    If a row may have several classes (multilabel), the target is (n, classes), 1 for each class that the row
    has and else 0, and each class with p > 0.5 is predicted. Then the average includes every class, 0 / 0
    counts as 0, and the micro average is not the accuracy.

    Options:
        average: macro (every class counts the same) or micro (every row counts the same).

    Source: van Rijsbergen 1979, "Information retrieval".
    """

    def compute(self, prediction: Array, target: Array) -> float:
        return self.scores(prediction, target)[2]
