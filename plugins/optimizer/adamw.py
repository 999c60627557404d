"""The optimizer ``adamw``."""

from __future__ import annotations

from mlpframe.api import UpdateRules, register

from .adam import Adam


@register("adamw")
class AdamW(Adam):
    """Adam with decoupled weight decay.

    w ← w − η λ w − η m̂ / (√v̂ + ε)  with  m̂, v̂ as in Adam

    Every optimizer has the options ``weight_decay`` and ``decoupled``; only their defaults differ here. The
    paper's schedule multiplier η_t is the factor of the schedule, and the paper's α is the rate. Their
    product η multiplies λ too, as in PyTorch; in the paper α does not multiply λ.

    Options:
        beta1: β₁, decay of the mean of the gradient, at least 0 and below 1.
        beta2: β₂, decay of the mean of its square, at least 0 and below 1.
        epsilon: ε, at least 1e-30.

    Source: Loshchilov, Hutter 2019, "Decoupled weight decay regularization".
    """

    shared = UpdateRules(weight_decay=0.01, decoupled=True)
