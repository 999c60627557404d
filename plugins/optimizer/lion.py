"""The optimizer ``lion``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("lion")
class Lion(Optimizer):
    """Lion: every weight moves by the learning rate, and only its direction depends on the gradients.

    w ← w − η sign(β₁ m + (1 − β₁) g),  m ← β₂ m + (1 − β₂) g

    Every weight takes the full step η. The learning rate should therefore be a third to a tenth of Adam's,
    and the weight decay three to ten times Adam's. The slot of the fast form ``update`` holds m / (1 − β₂).

    Options:
        beta1: β₁, share of the running mean m in the argument of sign, at least 0 and below 1.
        beta2: β₂, decay of the running mean of the gradient, at least 0 and below 1.

    Source: Chen, Liang, Huang, Real, Wang, Liu, Pham, Dong, Luong, Hsieh, Lu, Le 2023, "Symbolic discovery of
    optimization algorithms".
    """

    default_lr = 0.0003
    slots = ("m_sum",)

    def __init__(self, *, beta1: float = 0.9, beta2: float = 0.99) -> None:
        check_range("beta1", beta1, minimum=0, below=1)
        check_range("beta2", beta2, minimum=0, below=1)
        self.beta1, self.beta2 = beta1, beta2

    def textbook(self, w: Array, g: Array, lr: float, t: int, m: Array) -> tuple[Array, ...]:
        direction = np.sign(self.beta1 * m + (1 - self.beta1) * g)
        return w - lr * direction, self.beta2 * m + (1 - self.beta2) * g

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        m_sum = slots["m_sum"]
        # Further names of the array ``scratch``: a name says what the array holds at that point.
        mixed = sign = scratch
        np.multiply(m_sum, self.beta1 * (1 - self.beta2) / (1 - self.beta1), mixed)
        np.add(mixed, g, mixed)  # the formula's argument of sign, divided by 1 − β₁
        np.sign(mixed, sign)
        np.multiply(sign, lr, sign)
        np.subtract(w, sign, w)
        np.multiply(m_sum, self.beta2, m_sum)
        np.add(m_sum, g, m_sum)
