"""The metric ``per_class``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, register


@register("per_class")
class PerClass(Metric):
    """Precision, recall and F₁ of each class, as a table.

    precision = TP / (TP + FP),  recall = TP / (TP + FN),  F₁ = 2 TP / (2 TP + FP + FN)

    TP is the number of rows of a class that are taken for it, FN that of those that are not, FP that of other
    rows that are. The table is (classes, 3), with all classes; a quotient of 0 and 0 counts 0. p is (n,
    classes), the target (n,) class numbers; the most probable class is the one that a row is taken for, of
    equal ones the first.
    """

    tasks = ("classification",)
    scalar = False
    columns = ("precision", "recall", "F₁")

    def compute(self, prediction: Array, target: Array) -> Array:
        from sklearn.metrics import precision_recall_fscore_support

        classes = range(prediction.shape[1])
        scores = precision_recall_fscore_support(
            target, prediction.argmax(-1), labels=classes, average=None, zero_division=0
        )
        return np.stack(scores[:3], 1)
