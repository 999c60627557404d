"""The optimizer ``sign_descent``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("sign_descent")
class SignDescent(Optimizer):
    """Descent by the sign of the gradient: every weight moves by the same distance.

    w ← w − η s sign(g)

    Options:
        pace: s, a factor of the learning rate, more than 0.

    Source: Bernstein, Wang, Azizzadenesheli, Anandkumar 2018, "signSGD: compressed optimisation for
        non-convex problems".
    """

    default_lr = 0.01

    def __init__(self, *, pace: float = 1.0) -> None:
        check_range("pace", pace, above=0)
        if "clip_norm" in self.shared.special and not self.shared.weight_decay:
            raise ValueError(
                "clip_norm changes no sign of the gradient: it has no effect without weight_decay"
            )
        self.pace = pace

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        np.sign(g, scratch)
        np.multiply(scratch, lr * self.pace, scratch)
        np.subtract(w, scratch, w)
