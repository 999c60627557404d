"""The optimizer ``sgd``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Optimizer, register


@register("sgd")
class SGD(Optimizer):
    """Stochastic gradient descent.

    w ← w − η g

    Source: Robbins, Monro 1951, "A stochastic approximation method".
    """

    default_lr = 0.1

    def textbook(self, w: Array, g: Array, lr: float, t: int) -> Array:
        return w - lr * g

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        np.multiply(g, lr, scratch)
        np.subtract(w, scratch, w)

    def recurrence(self, lr: float) -> tuple[list[list[float]], list[float]] | None:
        return [[1.0]], [-lr]
