"""Shared code of Adam and its variants: running means of the gradient and of the squared gradient."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np

from mlpframe.api import Array, Optimizer, check_range


class Moments(Optimizer):
    """The options, slots and running sums of the Adam family.

    Options:
        beta1: β₁, decay of the running mean of the gradient, at least 0 and below 1.
        beta2: β₂, decay of the running mean of the squared gradient, at least 0 and below 1.
        epsilon: ε, which keeps the divisor above 0; at least 1e-30.
    """

    default_lr = 0.001
    slots: tuple[str, ...] = ("m_sum", "v_sum")

    def __init__(self, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        check_range("beta1", beta1, minimum=0, below=1)
        check_range("beta2", beta2, minimum=0, below=1)
        # float32 must not round ε to 0: a weight that never had a gradient would become 0/0
        check_range("epsilon", epsilon, minimum=1e-30)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def accumulate(
        self, g: Array, slots: Mapping[str, Array], step: int, scratch: Array
    ) -> tuple[Array, Array, float, float]:
        """Update the weighted sums of g and g².

        Returns both sums, c and √d, with which m̂ = m_sum / c and √v̂ = √v_sum / √d.
        """
        m_sum, v_sum = slots["m_sum"], slots["v_sum"]
        np.multiply(m_sum, self.beta1, m_sum)
        np.add(m_sum, g, m_sum)
        np.multiply(v_sum, self.beta2, v_sum)
        np.multiply(g, g, scratch)
        np.add(v_sum, scratch, v_sum)
        c = (1 - self.beta1**step) / (1 - self.beta1)
        return m_sum, v_sum, c, sqrt((1 - self.beta2**step) / (1 - self.beta2))


def descend(w: Array, direction: Array, square: Array, epsilon: float, lr: float, scratch: Array) -> None:
    """Update w in place: w ← w − lr direction / (√square + epsilon)."""
    np.sqrt(square, scratch)
    np.add(scratch, epsilon, scratch)
    np.divide(direction, scratch, scratch)
    np.multiply(scratch, lr, scratch)
    np.subtract(w, scratch, w)
