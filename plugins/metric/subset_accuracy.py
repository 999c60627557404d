"""The metric ``subset_accuracy``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, multi_hot, register


@register("subset_accuracy")
class SubsetAccuracy(Metric):
    """The share of rows that are predicted with exactly their classes, where a row may have several.

    subset accuracy = mean over rows of [for every class j: [p_j > 0.5] = t_j]

    A row counts as wrong even if only one of its classes is wrong; the metric hamming_loss counts the wrong
    classes. This is scikit-learn's accuracy_score for multilabel targets. p is (n, classes), t (n, classes):
    1 for each class that the row has, else 0.
    """

    tasks = ("multilabel",)

    def compute(self, prediction: Array, target: Array) -> float:
        return float(np.mean((multi_hot(prediction) == target).all(-1)))
