"""The optimizer ``adam``."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("adam")
class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

    m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,
    w ← w − η m̂ / (√v̂ + ε)  with  m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ)

    t counts updates from 1. ε stands beside the corrected root √v̂, as in the paper's Algorithm 1 and in
    PyTorch. Keras and scikit-learn put ε beside the uncorrected root √v. Their ε acts like ε / √(1 − β₂ᵗ)
    here, which is larger in the first updates. The slots of ``update`` hold the weighted sums
    m / (1 − β₁) and v / (1 − β₂).

    Options:
        beta1: β₁, decay of the mean of the gradient, at least 0 and below 1.
        beta2: β₂, decay of the mean of its square, at least 0 and below 1.
        epsilon: ε, at least 1e-30.

    Source: Kingma, Ba 2015, "Adam: A method for stochastic optimization".
    """

    default_lr = 0.001
    slots: tuple[str, ...] = ("m_sum", "v_sum")

    def __init__(self, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        check_range("beta1", beta1, minimum=0, below=1)
        check_range("beta2", beta2, minimum=0, below=1)
        # float32 must not round ε to 0: a weight that never had a gradient would become 0/0
        check_range("epsilon", epsilon, minimum=1e-30)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def textbook(self, w: Array, g: Array, lr: float, t: int, m: Array, v: Array) -> tuple[Array, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g**2
        m_hat, v_hat = m / (1 - self.beta1**t), v / (1 - self.beta2**t)
        return w - lr * m_hat / (np.sqrt(v_hat) + self.epsilon), m, v

    def accumulate(
        self, g: Array, slots: Mapping[str, Array], step: int, scratch: Array
    ) -> tuple[Array, Array, float, float]:
        """Update both sums. Returns the sums, then c, the first sum's divisor, and √d for the second."""
        m_sum, v_sum = slots["m_sum"], slots["v_sum"]
        np.multiply(m_sum, self.beta1, m_sum)
        np.add(m_sum, g, m_sum)
        np.multiply(v_sum, self.beta2, v_sum)
        np.multiply(g, g, scratch)
        np.add(v_sum, scratch, v_sum)
        c = (1 - self.beta1**step) / (1 - self.beta1)
        return m_sum, v_sum, c, sqrt((1 - self.beta2**step) / (1 - self.beta2))

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        # With M = Σ β₁^(t−i) g_i, V = Σ β₂^(t−i) g_i² and the sums of these weights
        # c = (1 − β₁ᵗ) / (1 − β₁), d = (1 − β₂ᵗ) / (1 − β₂), the corrected means are m̂ = M / c and
        # v̂ = V / d. So η m̂ / (√v̂ + ε) = η (M / c) / (√V / √d + ε) = (η √d / c) · M / (√V + ε √d):
        # the paper's step, ε included, with all corrections in two numbers and three passes saved.
        m_sum, v_sum, c, root_d = self.accumulate(g, slots, step, scratch)
        np.sqrt(v_sum, scratch)
        np.add(scratch, self.epsilon * root_d, scratch)
        np.divide(m_sum, scratch, scratch)
        np.multiply(scratch, lr * root_d / c, scratch)
        np.subtract(w, scratch, w)
