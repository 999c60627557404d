"""The optimizer ``momentum``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("momentum")
class Momentum(Optimizer):
    """Gradient descent with momentum: the heavy ball.

    v ← μ v + g,  w ← w − η v

    The gradient enters v without a factor 1 − μ, so at a steady gradient a step is 1 / (1 − μ) times that of
    plain gradient descent. η multiplies the whole of v: at a constant rate this is Polyak's
    w_{t+1} = w_t − η g + μ (w_t − w_{t−1}). A changed rate also applies to the past gradients in v at once.

    Options:
        momentum: μ, the share of the velocity v that a step keeps, at least 0 and below 1.

    Source: Polyak 1964, "Some methods of speeding up the convergence of iteration methods".
    """

    default_lr = 0.01

    def __init__(self, *, momentum: float = 0.9) -> None:
        check_range("momentum", momentum, minimum=0, below=1)
        self.momentum = momentum

    def textbook(self, w: Array, g: Array, lr: float, t: int, v: Array) -> tuple[Array, ...]:
        v = self.momentum * v + g
        return w - lr * v, v

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        v = slots["v"]
        np.multiply(v, self.momentum, v)
        np.add(v, g, v)
        np.multiply(v, lr, scratch)
        np.subtract(w, scratch, w)

    def recurrence(self, lr: float) -> tuple[list[list[float]], list[float]] | None:
        return [[1.0, -lr * self.momentum], [0.0, self.momentum]], [-lr, 1.0]
