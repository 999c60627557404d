"""The optimizer ``amsgrad``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, register

from ._moments import Moments, descend


@register("amsgrad")
class AMSGrad(Moments):
    """AMSGrad: Adam with the largest second moment so far, so that a large gradient is never forgotten.

    m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  u ← max(u, v),
    w ← w − η m̂ / (√û + ε)  with  m̂ = m / (1 − β₁ᵗ),  û = u / (1 − β₂ᵗ)

    The paper has neither ε nor the bias corrections in m̂ and û. Both come from Adam and are applied after the
    maximum, as in PyTorch, so the first step is that of Adam.

    Options:
        beta1: β₁, decay of the running mean of the gradient, at least 0 and below 1.
        beta2: β₂, decay of the running mean of the squared gradient, at least 0 and below 1.
        epsilon: ε, which keeps the divisor above 0; at least 1e-30.

    Source: Reddi, Kale, Kumar 2018, "On the convergence of Adam and beyond".
    """

    slots = ("m_sum", "v_sum", "u_sum")

    def textbook(
        self, w: Array, g: Array, lr: float, t: int, m: Array, v: Array, u: Array
    ) -> tuple[Array, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g**2
        u = np.maximum(u, v)
        m_hat, u_hat = m / (1 - self.beta1**t), u / (1 - self.beta2**t)
        return w - lr * m_hat / (np.sqrt(u_hat) + self.epsilon), m, v, u

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        m_sum, v_sum, c, root_d = self.accumulate(g, slots, step, scratch)
        u_sum = slots["u_sum"]
        np.maximum(u_sum, v_sum, out=u_sum)
        descend(w, m_sum, u_sum, self.epsilon * root_d, lr * root_d / c, scratch)
