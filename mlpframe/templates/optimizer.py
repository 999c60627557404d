"""The optimizer ``template``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("template")
class Template(Optimizer):
    """Gradient descent along a running mean of the gradient.

    m ← β m + (1 − β) g,  w ← w − η m

    m is 0 at first and not corrected for that.

    Options:
        beta: β, what is kept of the mean at each update, at least 0 and below 1.
    """

    default_lr = 0.1
    slots = ("m",)

    def __init__(self, *, beta: float = 0.9) -> None:
        check_range("beta", beta, minimum=0, below=1)
        self.beta = beta

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        m = slots["m"]
        np.multiply(m, self.beta, m)
        np.multiply(g, 1 - self.beta, scratch)
        np.add(m, scratch, m)
        np.multiply(m, lr, scratch)
        np.subtract(w, scratch, w)
