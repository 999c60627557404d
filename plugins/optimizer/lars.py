"""The optimizer ``lars``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register

from ._trust import trust_ratio


@register("lars")
class LARS(Optimizer):
    """LARS: momentum whose rate is set for each layer, in proportion to the norm of its weights.

    v ← μ v + η τ ‖w‖ / ‖g‖ g,  w ← w − v

    The norms are taken over a whole weight matrix and its gradient. Vectors, such as biases, and matrices
    where either norm is 0 take v ← μ v + η g, because a bias that starts at 0 would otherwise never move. g
    includes coupled weight decay λ w; the paper instead divides by ‖g‖ + λ ‖w‖, with g before weight decay.
    The rate is inside v, as in the paper, so a changed rate acts on later gradients only.

    Options:
        momentum: μ, the share of the velocity v that a step keeps, at least 0 and below 1.
        trust: τ, the size of a weight matrix's step relative to the matrix's norm at the rate 1, more than 0.

    Source: You, Gitman, Ginsburg 2017, "Large batch training of convolutional networks".
    """

    default_lr = 1.0
    slots = ("v",)
    scope = "tensor"

    def __init__(self, *, momentum: float = 0.9, trust: float = 0.001) -> None:
        check_range("momentum", momentum, minimum=0, below=1)
        check_range("trust", trust, above=0)
        self.momentum, self.trust = momentum, trust

    def textbook(self, w: Array, g: Array, lr: float, t: int, v: Array) -> tuple[Array, ...]:
        norm_w, norm_g = np.linalg.norm(w), np.linalg.norm(g)
        ratio = self.trust * norm_w / norm_g if w.ndim > 1 and norm_w > 0 and norm_g > 0 else 1.0
        v = self.momentum * v + lr * ratio * g
        return w - v, v

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        v, ratio = slots["v"], trust_ratio(w, g)
        np.multiply(v, self.momentum, v)
        np.multiply(g, lr if ratio is None else lr * self.trust * ratio, scratch)
        np.add(v, scratch, v)
        np.subtract(w, v, w)
