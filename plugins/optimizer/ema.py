"""The optimizer ``ema``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Spec, check_range, register

from ._wrapper import Wrapper


@register("ema")
class EMA(Wrapper):
    """Evaluates and saves an exponential moving average of the weights that another optimizer trains.

    a ← a + (w − a) (1 − d) / (1 − dᵗ)

    t counts updates from 1. a is the weighted mean of the values of w after the updates i = 1 … t; the value
    after update i has a weight proportional to d^(t − i). The divisor 1 − dᵗ removes the weights before
    training from a. During the first 1 / (1 − d) updates or so, a is close to Polyak's plain mean of all w.
    The average does not affect the training of w.

    Options:
        inner: the optimizer that trains w, a name or a mapping with name and options. Set weight
            decay, clipping and learning-rate factors as options of ema, not inside inner.
        decay: d, at least 0 and below 1.

    Source: Polyak, Juditsky 1992, "Acceleration of stochastic approximation by averaging".
    """

    def __init__(self, *, inner: Spec = "adam", decay: float = 0.999) -> None:
        check_range("decay", decay, minimum=0, below=1)
        super().__init__(inner, "ema")
        self.decay = decay

    def textbook(self, w: Array, g: Array, lr: float, t: int, *slots: Array) -> tuple[Array, ...]:
        *inner, a = slots
        w, *inner = self.inner_textbook(w, g, lr, t, *inner)
        a = a + (w - a) * (1 - self.decay) / (1 - self.decay**t)
        return w, *inner, a

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        self.inner.update(w, g, slots, lr, step, scratch)
        average = slots["ema"]
        np.subtract(w, average, scratch)
        np.multiply(scratch, (1 - self.decay) / (1 - self.decay**step), scratch)
        np.add(average, scratch, average)
