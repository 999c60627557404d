"""The optimizer ``nadam``."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from mlpframe.api import Array, check_range, register

from ._moments import Moments, descend


@register("nadam")
class NAdam(Moments):
    """NAdam: Adam with a Nesterov momentum μ that grows with the updates.

    m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  μₜ = β₁ (1 − 0.96^(ψ t) / 2),
    w ← w − η (μₜ₊₁ m / (1 − Πₜ₊₁) + (1 − μₜ) g / (1 − Πₜ)) / (√v̂ + ε)  with  Πₜ = μ₁ μ₂ … μₜ,
    v̂ = v / (1 − β₂ᵗ)

    t counts updates from 1. In the paper m has μₜ in place of β₁ too, and v̂ has β₂ v in place of v. PyTorch
    and Keras use β₁ and v, as here, and published results were found with these two libraries. ψ is 0.004 in
    the paper and in PyTorch. Keras has ψ = 1 and no option for it. With ψ = 1, μ reaches 0.99 β₁ after 96
    updates; with ψ = 0.004, after 24,000. Keras's other defaults are η = 0.001 and ε = 1e-7.

    Options:
        beta1: β₁, decay of the running mean of the gradient, at least 0 and below 1.
        beta2: β₂, decay of the running mean of the squared gradient, at least 0 and below 1.
        epsilon: ε, which keeps the divisor above 0; at least 1e-30.
        momentum_decay: ψ, how fast μ grows from β₁ / 2 to β₁, at least 0.

    Source: Dozat 2016, "Incorporating Nesterov momentum into Adam".
    """

    default_lr = 0.002

    def __init__(
        self,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        momentum_decay: float = 0.004,
    ) -> None:
        super().__init__(beta1=beta1, beta2=beta2, epsilon=epsilon)
        check_range("momentum_decay", momentum_decay, minimum=0)
        self.momentum_decay = momentum_decay
        self._latest = 0, 1.0

    def textbook(self, w: Array, g: Array, lr: float, t: int, m: Array, v: Array) -> tuple[Array, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g**2
        mu = [self.beta1 * (1 - 0.96 ** (self.momentum_decay * i) / 2) for i in range(1, t + 2)]
        m_hat = mu[t] * m / (1 - prod(mu)) + (1 - mu[t - 1]) * g / (1 - prod(mu[:t]))
        v_hat = v / (1 - self.beta2**t)
        return w - lr * m_hat / (np.sqrt(v_hat) + self.epsilon), m, v

    def _mu(self, step: int) -> float:
        return self.beta1 * (1 - float(0.96 ** (step * self.momentum_decay)) / 2)

    def _product(self, step: int) -> float:
        """Πₜ. The latest product is stored, so that a step need not multiply all factors from μ₁ on."""
        done, product = self._latest
        if done > step:
            done, product = 0, 1.0
        for t in range(done + 1, step + 1):
            product *= self._mu(t)
        self._latest = step, product
        return product

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        # The numerator is (1 − β₁) μₜ₊₁ / (1 − Πₜ₊₁) m_sum + (1 − μₜ) / (1 − Πₜ) g. Each term is divided by
        # the root and subtracted from w on its own. The root is computed twice, but no second scratch array
        # is needed.
        m_sum, v_sum, _, root_d = self.accumulate(g, slots, step, scratch)
        product, mu, ahead = self._product(step), self._mu(step), self._mu(step + 1)
        shares = (
            (m_sum, (1 - self.beta1) * ahead / (1 - product * ahead)),
            (g, (1 - mu) / (1 - product)),
        )
        for part, share in shares:
            descend(w, part, v_sum, self.epsilon * root_d, lr * root_d * share, scratch)
