"""The optimizer ``radam``."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np

from mlpframe.api import Array, register

from ._moments import Moments, descend


@register("radam")
class RAdam(Moments):
    """Rectified Adam: steps of momentum at first, then adaptive steps that grow as v becomes reliable.

    w ← w − η r m̂ √(1 − β₂ᵗ) / (√v + ε) where ρ > 5, else w ← w − η m̂, with m̂, v as in Adam,
    r = √((ρ − 4) (ρ − 2) ρ∞ / ((ρ∞ − 4) (ρ∞ − 2) ρ)),  ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ),  ρ∞ = 2 / (1 − β₂) − 1

    The paper has ρ > 4, where r is still near 0; its authors' code and PyTorch have ρ > 5. Both
    implementations also put ε beside the uncorrected root √v, as here.

    Options:
        beta1: β₁, decay of the running mean of the gradient, at least 0 and below 1.
        beta2: β₂, decay of the running mean of the squared gradient, at least 0 and below 1.
        epsilon: ε, which keeps the divisor above 0; at least 1e-30.

    Source: Liu, Jiang, He, Chen, Liu, Gao, Han 2020, "On the variance of the adaptive learning rate and
    beyond".
    """

    def textbook(self, w: Array, g: Array, lr: float, t: int, m: Array, v: Array) -> tuple[Array, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g**2
        m_hat = m / (1 - self.beta1**t)
        rho_inf = 2 / (1 - self.beta2) - 1
        rho = rho_inf - 2 * t * self.beta2**t / (1 - self.beta2**t)
        if rho <= 5:
            return w - lr * m_hat, m, v
        r = sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        return w - lr * r * m_hat * sqrt(1 - self.beta2**t) / (np.sqrt(v) + self.epsilon), m, v

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        m_sum, v_sum, c, root_d = self.accumulate(g, slots, step, scratch)
        power = self.beta2**step
        longest = 2 / (1 - self.beta2) - 1
        length = longest - 2 * step * power / (1 - power)
        if length > 5:
            r = sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
            descend(w, m_sum, v_sum, self.epsilon / sqrt(1 - self.beta2), lr * r * root_d / c, scratch)
        else:
            np.multiply(m_sum, lr / c, scratch)
            np.subtract(w, scratch, w)
