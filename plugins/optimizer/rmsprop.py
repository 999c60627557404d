"""The optimizer ``rmsprop``."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("rmsprop")
class RMSprop(Optimizer):
    """RMSprop: steps scaled by a running mean of the square of the gradient.

    v ← ρ v + (1 − ρ) g²,  w ← w − η g / (√v + ε);
    if centered: w ← w − η g / (√(v − m²) + ε) with m ← ρ m + (1 − ρ) g

    ε stands outside the root, as in PyTorch; Keras has it inside. The variance v − m² is not computed as a
    difference, which rounding can make negative. The variance follows a recurrence of its own instead: its
    new value is ρ (v − m²) + ρ (1 − ρ) (g − m)², with v and m from before the update. The slots of the fast
    form ``update`` hold v / (1 − ρ); if centered, m / (1 − ρ) and (v − m²) / (ρ (1 − ρ)).

    Options:
        decay: ρ, decay of the running means, at least 0 and below 1; not 0 if centered.
        epsilon: ε, which keeps the divisor above 0; at least 1e-30.
        centered: whether to scale by the standard deviation of the gradient instead of its root mean square.

    Source: Tieleman, Hinton 2012, "Lecture 6.5: RMSProp", Coursera; centered: Graves 2013, "Generating
    sequences with recurrent neural networks".
    """

    default_lr = 0.001

    def __init__(self, *, decay: float = 0.9, epsilon: float = 1e-8, centered: bool = False) -> None:
        check_range("decay", decay, minimum=0, below=1)
        if centered:
            check_range("decay", decay, above=0)
        check_range("epsilon", epsilon, minimum=1e-30)
        self.decay, self.epsilon, self.centered = decay, epsilon, centered
        self.slots = ("m_sum", "variance_sum") if centered else ("v_sum",)

    def textbook(self, w: Array, g: Array, lr: float, t: int, *slots: Array) -> tuple[Array, ...]:
        rho, epsilon = self.decay, self.epsilon
        if not self.centered:
            v = rho * slots[0] + (1 - rho) * g**2
            return w - lr * g / (np.sqrt(v) + epsilon), v
        m, variance = slots
        variance = rho * variance + rho * (1 - rho) * (g - m) ** 2
        m = rho * m + (1 - rho) * g
        return w - lr * g / (np.sqrt(variance) + epsilon), m, variance

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        rho = self.decay
        # Further names of the array ``scratch``: a name says what the array holds at that point.
        m = deviation = square = root = direction = scratch
        if self.centered:
            m_sum, squares, scale = slots["m_sum"], slots["variance_sum"], sqrt(rho * (1 - rho))
            np.multiply(m_sum, 1 - rho, m)
            np.subtract(g, m, deviation)
            np.multiply(deviation, deviation, square)
            np.multiply(m_sum, rho, m_sum)
            np.add(m_sum, g, m_sum)
        else:
            squares, scale = slots["v_sum"], sqrt(1 - rho)
            np.multiply(g, g, square)
        np.multiply(squares, rho, squares)
        np.add(squares, square, squares)
        np.sqrt(squares, root)  # the root in the formula is ``scale`` times ``root``
        np.add(root, self.epsilon / scale, root)
        np.divide(g, root, direction)
        np.multiply(direction, lr / scale, direction)
        np.subtract(w, direction, w)
