"""The optimizer ``adamax``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("adamax")
class AdaMax(Optimizer):
    """AdaMax: Adam with the largest recent gradient in place of the root mean square.

    m ← β₁ m + (1 − β₁) g,  u ← max(β₂ u, |g| + ε),  w ← w − η m̂ / u  with  m̂ = m / (1 − β₁ᵗ)

    The paper has no ε; without it a weight that never had a gradient would become 0/0. Here ε stands beside
    |g|, as in PyTorch; Keras divides by u + ε. In the fast form ``update``, the slot
    m_sum holds m / (1 − β₁).

    Options:
        beta1: β₁, decay of the running mean of the gradient, at least 0 and below 1.
        beta2: β₂, decay of u, the largest recent gradient, at least 0 and below 1.
        epsilon: ε, which keeps the divisor above 0; at least 1e-30.

    Source: Kingma, Ba 2015, "Adam: A method for stochastic optimization", section 7.1.
    """

    default_lr = 0.002
    slots = ("m_sum", "u")

    def __init__(self, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        check_range("beta1", beta1, minimum=0, below=1)
        check_range("beta2", beta2, minimum=0, below=1)
        check_range("epsilon", epsilon, minimum=1e-30)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def textbook(self, w: Array, g: Array, lr: float, t: int, m: Array, u: Array) -> tuple[Array, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        u = np.maximum(self.beta2 * u, np.abs(g) + self.epsilon)
        m_hat = m / (1 - self.beta1**t)
        return w - lr * m_hat / u, m, u

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        m_sum, u = slots["m_sum"], slots["u"]
        c = (1 - self.beta1**step) / (1 - self.beta1)
        # Further names of the array ``scratch``: a name says what the array holds at that point.
        size = direction = scratch
        np.multiply(m_sum, self.beta1, m_sum)
        np.add(m_sum, g, m_sum)
        np.abs(g, size)
        np.add(size, self.epsilon, size)
        np.multiply(u, self.beta2, u)
        np.maximum(u, size, out=u)
        np.divide(m_sum, u, direction)
        np.multiply(direction, lr / c, direction)
        np.subtract(w, direction, w)
