"""The optimizer ``lookahead``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Spec, check_range, register

from ._wrapper import Wrapper


@register("lookahead")
class Lookahead(Wrapper):
    """Lookahead: slow weights go part of the way of another optimizer, which then continues from them.

    every k updates of the inner optimizer:  φ ← φ + α (w − φ),  w ← φ

    The slow weights φ are evaluated and saved. The step w ← φ does not change the inner optimizer's slots.

    Options:
        inner: the optimizer of the fast weights w, a name or a mapping with name and options. Set weight
            decay, clipping and learning-rate factors as options of lookahead, not inside inner.
        k: updates of the fast weights for each update of the slow weights, at least 1.
        alpha: α, the part of the way that the slow weights go, more than 0 and at most 1.

    Source: Zhang, Lucas, Hinton, Ba 2019, "Lookahead optimizer: k steps forward, 1 step back".
    """

    def __init__(self, *, inner: Spec = "adam", k: int = 5, alpha: float = 0.5) -> None:
        check_range("k", k, minimum=1)
        check_range("alpha", alpha, above=0, maximum=1)
        super().__init__(inner, "slow")
        self.k, self.alpha = k, alpha

    def textbook(self, w: Array, g: Array, lr: float, t: int, *slots: Array) -> tuple[Array, ...]:
        *inner, phi = slots
        w, *inner = self.inner_textbook(w, g, lr, t, *inner)
        if t % self.k == 0:
            w = phi = phi + self.alpha * (w - phi)
        return w, *inner, phi

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        self.inner.update(w, g, slots, lr, step, scratch)
        if step % self.k == 0:
            slow = slots["slow"]
            np.subtract(w, slow, scratch)
            np.multiply(scratch, self.alpha, scratch)
            np.add(slow, scratch, slow)
            np.copyto(w, slow)
