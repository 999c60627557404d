"""The optimizer ``adam``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, register

from ._moments import Moments, descend


@register("adam")
class Adam(Moments):
    """Adam: steps scaled by running means of the gradient and of its square.

    m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,
    w ← w − η m̂ / (√v̂ + ε)  with  m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ)

    t counts updates from 1. ε stands beside the corrected root √v̂, as in the paper's Algorithm 1 and in
    PyTorch. Keras and scikit-learn put ε beside the uncorrected root √v. Their ε acts like ε / √(1 − β₂ᵗ)
    here, which is larger in the first updates. The slots of the fast form ``update`` hold the weighted sums
    m / (1 − β₁) and v / (1 − β₂).

    Options:
        beta1: β₁, decay of the running mean of the gradient, at least 0 and below 1.
        beta2: β₂, decay of the running mean of the squared gradient, at least 0 and below 1.
        epsilon: ε, which keeps the divisor above 0; at least 1e-30.

    Source: Kingma, Ba 2015, "Adam: A method for stochastic optimization".
    """

    def textbook(self, w: Array, g: Array, lr: float, t: int, m: Array, v: Array) -> tuple[Array, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g**2
        m_hat, v_hat = m / (1 - self.beta1**t), v / (1 - self.beta2**t)
        return w - lr * m_hat / (np.sqrt(v_hat) + self.epsilon), m, v

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        # The slots hold M = Σ β₁^(t−i) g_i and V = Σ β₂^(t−i) g_i². The factors β₁^(t−i) add up to
        # c = (1 − β₁ᵗ) / (1 − β₁), the factors β₂^(t−i) to d = (1 − β₂ᵗ) / (1 − β₂). So m̂ = M / c,
        # v̂ = V / d and η m̂ / (√v̂ + ε) = η (M / c) / (√V / √d + ε) = (η √d / c) · M / (√V + ε √d). This is
        # the paper's step, ε included. All corrections are in the two numbers η √d / c and ε √d, which saves
        # three passes over the arrays.
        m_sum, v_sum, c, root_d = self.accumulate(g, slots, step, scratch)
        descend(w, m_sum, v_sum, self.epsilon * root_d, lr * root_d / c, scratch)
