"""The optimizer ``nesterov``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("nesterov")
class Nesterov(Optimizer):
    """Gradient descent with Nesterov's momentum: the gradient is taken at the point to which v leads.

    v ← μ v + g,  w ← w − η (g + μ v)

    Sutskever et al. store θ and take the gradient at the look-ahead point θ − η μ v. Here, as in other
    libraries, w is the look-ahead point itself, so g is the gradient at w. At a constant rate, w passes
    through the look-ahead points of Sutskever et al. The slot of the fast form ``update`` holds μ v.

    Options:
        momentum: μ, the share of the velocity v that a step keeps, at least 0 and below 1.

    Source: Sutskever, Martens, Dahl, Hinton 2013, "On the importance of initialization and momentum in
    deep learning"; the method: Nesterov 1983.
    """

    default_lr = 0.01
    slots = ("mu_v",)

    def __init__(self, *, momentum: float = 0.9) -> None:
        check_range("momentum", momentum, minimum=0, below=1)
        self.momentum = momentum

    def textbook(self, w: Array, g: Array, lr: float, t: int, v: Array) -> tuple[Array, ...]:
        v = self.momentum * v + g
        return w - lr * (g + self.momentum * v), v

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        mu_v = slots["mu_v"]
        # The slot holds μ v instead of v between updates, which saves a pass over memory. The first np.add
        # turns the old μ v into the new v.
        np.add(mu_v, g, mu_v)
        np.multiply(mu_v, self.momentum, mu_v)
        np.add(mu_v, g, scratch)
        np.multiply(scratch, lr, scratch)
        np.subtract(w, scratch, w)

    def recurrence(self, lr: float) -> tuple[list[list[float]], list[float]] | None:
        mu = self.momentum
        return [[1.0, -lr * mu], [0.0, mu]], [-lr * (1 + mu), mu]
