"""The optimizer ``rprop``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("rprop")
class Rprop(Optimizer):
    """Rprop: each weight has its own step size, which grows while the weight's gradient keeps its sign.

    Δ ← α Δ where g g′ > 0, β Δ where g g′ < 0, limited to [Δmin, Δmax];  w ← w − η Δ sign(g)

    g′ is the gradient of the previous update. Where g g′ < 0, w does not move in this update, and g counts as
    0 in the next update: this is iRprop−, as in PyTorch. The slot ``sign`` holds the sign of g′. The signs of
    small batches change at random, so a batch should hold all training rows (set ``batch_size`` accordingly).

    Options:
        initial: Δ in the first update, more than 0; the learning rate η multiplies Δ.
        grow: α, the factor by which Δ grows, more than 1.
        shrink: β, the factor by which Δ shrinks, more than 0 and below 1.
        smallest: Δmin, the smallest step size, more than 0.
        largest: Δmax, the largest step size, more than 0.

    Source: Riedmiller, Braun 1993, "A direct adaptive method for faster backpropagation learning: The RPROP
    algorithm"; iRprop−: Igel, Hüsken 2000, "Improving the Rprop learning algorithm".
    """

    default_lr = 1.0
    slots = ("size", "sign")

    def __init__(
        self,
        *,
        initial: float = 0.01,
        grow: float = 1.2,
        shrink: float = 0.5,
        smallest: float = 1e-6,
        largest: float = 50.0,
    ) -> None:
        check_range("initial", initial, above=0)
        check_range("grow", grow, above=1)
        check_range("shrink", shrink, above=0, below=1)
        check_range("smallest", smallest, above=0)
        check_range("largest", largest, minimum=smallest)
        self.initial, self.grow, self.shrink = initial, grow, shrink
        self.smallest, self.largest = smallest, largest

    def begin(self, w: Array, slots: Mapping[str, Array]) -> None:
        slots["size"].fill(self.initial)

    def textbook(self, w: Array, g: Array, lr: float, t: int, size: Array, sign: Array) -> tuple[Array, ...]:
        agree = np.sign(g) * sign
        factor = np.where(agree > 0, self.grow, np.where(agree < 0, self.shrink, 1))
        size = np.clip(factor * size, self.smallest, self.largest)
        sign = np.where(agree < 0, 0, np.sign(g))
        return w - lr * size * sign, size, sign

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        # With s = sign(g g′) the factor of Δ is 1 + s (q + p s): α if s = 1, β if s = −1, 1 if s = 0.
        size, sign = slots["size"], slots["sign"]
        p, q = (self.grow + self.shrink) / 2 - 1, (self.grow - self.shrink) / 2
        # Further names of existing arrays: a name says what its array holds at that point.
        agreement, unchanged = sign, sign
        sign_g = factor = move = scratch
        np.sign(g, sign_g)
        np.multiply(sign, sign_g, agreement)
        np.multiply(agreement, p, factor)
        np.add(factor, q, factor)
        np.multiply(factor, agreement, factor)
        np.add(factor, 1, factor)
        np.multiply(size, factor, size)
        np.maximum(size, self.smallest, out=size)
        np.minimum(size, self.largest, out=size)
        np.minimum(agreement, 0, out=unchanged)
        np.add(unchanged, 1, unchanged)  # 0 where the sign has changed, else 1
        np.sign(g, sign_g)
        np.multiply(unchanged, sign_g, sign)
        np.multiply(sign, size, move)
        np.multiply(move, lr, move)
        np.subtract(w, move, w)
