"""The metric ``confusion_matrix``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, register


@register("confusion_matrix")
class ConfusionMatrix(Metric):
    """How often rows of each class were predicted as each class.

    C_ij = number of rows of true class i whose most probable class is j

    Counts, (classes, classes); a class that does not occur has its row and column too. p is (n, classes), c
    (n,) class numbers; if several classes are equally probable, the first counts.
    """

    tasks = ("classification",)
    scalar = False

    def compute(self, prediction: Array, target: Array) -> Array:
        classes = prediction.shape[-1]
        cells = target.astype(np.intp) * classes  # the product would overflow in a small integer type
        cells += prediction.argmax(-1)
        return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
