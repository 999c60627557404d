"""The optimizer ``kit_scaled``."""

import numpy as np

from mlpframe.api import Optimizer, check_range, register


@register("kit_scaled")
class Scaled(Optimizer):
    """Steps divided by the root of the mean square of all gradients so far.

    s ← s + (g² − s) / t,  w ← w − η g / (√s + ε)

    Options:
        epsilon: ε, more than 0.
    """

    default_lr = 0.01

    def __init__(self, *, epsilon: float = 1e-6) -> None:
        check_range("epsilon", epsilon, above=0)
        self.epsilon = epsilon

    def textbook(self, w, g, lr, t, s):
        s = s + (g**2 - s) / t
        return w - lr * g / (np.sqrt(s) + self.epsilon), s

    def update(self, w, g, slots, lr, step, scratch):
        s = slots["s"]
        np.multiply(g, g, scratch)
        np.subtract(scratch, s, scratch)
        np.divide(scratch, step, scratch)
        np.add(s, scratch, s)
        np.sqrt(s, scratch)
        np.add(scratch, self.epsilon, scratch)
        np.divide(g, scratch, scratch)
        np.multiply(scratch, lr, scratch)
        np.subtract(w, scratch, w)
