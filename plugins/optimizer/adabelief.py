"""The optimizer ``adabelief``."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("adabelief")
class AdaBelief(Optimizer):
    """AdaBelief: Adam scaled by the gradient's deviation from its running mean, not by the gradient's size.

    m ← β₁ m + (1 − β₁) g,  s ← β₂ s + (1 − β₂) (g − m)² + ε,
    w ← w − η m̂ / (√ŝ + ε)  with  m̂ = m / (1 − β₁ᵗ),  ŝ = s / (1 − β₂ᵗ)

    ε stands in s and beside the root, as in the paper's Algorithm 2. Over many steps, the ε in s adds up to
    ε / (1 − β₂) under the root. The default ε is therefore the 1e-16 of the authors' code, not the 1e-8 of
    the paper. The slots of the fast form ``update`` hold m / (1 − β₁) and s / (1 − β₂).

    Options:
        beta1: β₁, decay of the running mean of the gradient, at least 0 and below 1.
        beta2: β₂, decay of the mean squared deviation, at least 0 and below 1.
        epsilon: ε, which keeps the divisor above 0; at least 1e-30.

    Source: Zhuang, Tang, Ding, Tatikonda, Dvornek, Papademetris, Duncan 2020, "AdaBelief optimizer: Adapting
    stepsizes by the belief in observed gradients".
    """

    default_lr = 0.001
    slots = ("m_sum", "s_sum")

    def __init__(self, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-16) -> None:
        check_range("beta1", beta1, minimum=0, below=1)
        check_range("beta2", beta2, minimum=0, below=1)
        check_range("epsilon", epsilon, minimum=1e-30)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def textbook(self, w: Array, g: Array, lr: float, t: int, m: Array, s: Array) -> tuple[Array, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        s = self.beta2 * s + (1 - self.beta2) * (g - m) ** 2 + self.epsilon
        m_hat, s_hat = m / (1 - self.beta1**t), s / (1 - self.beta2**t)
        return w - lr * m_hat / (np.sqrt(s_hat) + self.epsilon), m, s

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        m_sum, s_sum = slots["m_sum"], slots["s_sum"]
        c = (1 - self.beta1**step) / (1 - self.beta1)
        root_d = sqrt((1 - self.beta2**step) / (1 - self.beta2))
        np.multiply(m_sum, self.beta1, m_sum)
        np.add(m_sum, g, m_sum)
        # Further names of the array ``scratch``: a name says what the array holds at that point.
        m = deviation = square = root = direction = scratch
        np.multiply(m_sum, 1 - self.beta1, m)
        np.subtract(g, m, deviation)
        np.multiply(deviation, deviation, square)
        np.add(square, self.epsilon / (1 - self.beta2), square)
        np.multiply(s_sum, self.beta2, s_sum)
        np.add(s_sum, square, s_sum)
        np.sqrt(s_sum, root)
        np.add(root, self.epsilon * root_d, root)
        np.divide(m_sum, root, direction)
        np.multiply(direction, lr * root_d / c, direction)
        np.subtract(w, direction, w)
