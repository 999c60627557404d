"""The metric ``per_class``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, register

from ._averages import scores_of_each


@register("per_class")
class PerClass(Metric):
    """Precision, recall and F₁ of each class, as a table.

    precision = TP / (TP + FP),  recall = TP / (TP + FN),  F₁ = 2 TP / (2 TP + FP + FN)

    TP counts the rows of a class that are predicted as the class, FN the rows of the class predicted as
    another, FP the rows of other classes predicted as the class. The table is (classes, 3), with all classes;
    0 / 0 counts as 0. p is (n, classes), the target (n,) class numbers. Each row is predicted as its most
    probable class, or the first of several equally probable classes.

    If a row may have several classes (multilabel), the target is (n, classes), 1 for each class that the row
    has and else 0, and each class with p > 0.5 is predicted.
    """

    tasks = ("classification", "multilabel")
    scalar = False
    columns = ("precision", "recall", "F₁")

    def compute(self, prediction: Array, target: Array) -> Array:
        if target.ndim == 2:
            return scores_of_each(prediction, target).T

        from sklearn.metrics import precision_recall_fscore_support

        classes = range(prediction.shape[1])
        scores = precision_recall_fscore_support(
            target, prediction.argmax(-1), labels=classes, average=None, zero_division=0
        )
        return np.stack(scores[:3], 1)
