"""The optimizer ``kit_ball``."""

import numpy as np

from mlpframe.api import Optimizer, check_range, register


@register("kit_ball")
class Ball(Optimizer):
    """Gradient descent with momentum.

    v ← μ v + g,  w ← w − η v

    Options:
        momentum: μ, at least 0 and below 1.
    """

    default_lr = 0.01

    def __init__(self, *, momentum: float = 0.9) -> None:
        check_range("momentum", momentum, minimum=0, below=1)
        self.momentum = momentum

    def textbook(self, w, g, lr, t, v):
        v = self.momentum * v + g
        return w - lr * v, v

    def update(self, w, g, slots, lr, step, scratch):
        v, mu = slots["v"], self.momentum
        np.multiply(v, mu, v)
        np.add(v, g, v)
        np.multiply(v, lr, scratch)
        np.subtract(w, scratch, w)

    def recurrence(self, lr):
        return [[1.0, -lr * self.momentum], [0.0, self.momentum]], [-lr, 1.0]
