"""The optimizer ``adamw``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, UpdateRules, register

from ._moments import Moments, descend


@register("adamw")
class AdamW(Moments):
    """Adam with decoupled weight decay.

    w ← w − η λ w − η m̂ / (√v̂ + ε)  with  m̂, v̂ as in Adam

    Every optimizer has the options ``weight_decay`` and ``decoupled``; AdamW only has other defaults for
    them. The learning rate η here is the product of the paper's schedule multiplier η_t and the paper's
    learning rate α. η multiplies λ too, as in PyTorch; in the paper, η_t multiplies λ, but α does not.

    Options:
        beta1: β₁, decay of the running mean of the gradient, at least 0 and below 1.
        beta2: β₂, decay of the running mean of the squared gradient, at least 0 and below 1.
        epsilon: ε, which keeps the divisor above 0; at least 1e-30.

    Source: Loshchilov, Hutter 2019, "Decoupled weight decay regularization".
    """

    shared = UpdateRules(weight_decay=0.01, decoupled=True)

    def textbook(self, w: Array, g: Array, lr: float, t: int, m: Array, v: Array) -> tuple[Array, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g**2
        m_hat, v_hat = m / (1 - self.beta1**t), v / (1 - self.beta2**t)
        return w - lr * m_hat / (np.sqrt(v_hat) + self.epsilon), m, v

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        m_sum, v_sum, c, root_d = self.accumulate(g, slots, step, scratch)
        descend(w, m_sum, v_sum, self.epsilon * root_d, lr * root_d / c, scratch)
