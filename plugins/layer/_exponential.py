"""Shared code of elu and selu, the layers that are exponential below 0 and linear above 0."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Bound, Context

ALPHA = 1.6732632423543772848
SCALE = 1.0507009873554804934
"""selu's α and λ: if x has the distribution N(0, 1), y has mean 0 and variance 1 (paper's equation 14)."""


def bind_exponential(x: Array, dx: Array | None, ctx: Context, scale: float, alpha: float) -> Bound:
    """Bind y = scale · (max(x, 0) + alpha (exp min(x, 0) − 1)).

    exp x − 1 is computed as a difference, at a fraction of the cost of expm1. The absolute error is about the
    rounding error of the number 1, and y is usually of order 1. The derivative is a multiple of exp x and
    needs no difference, so it loses no precision.
    """
    y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
    power = ctx.array(*x.shape)  # exp(min(x, 0)), which is 1 where x > 0
    numbers = (0, 1, scale, scale * alpha, scale - scale * alpha)
    zero, one, above, below, jump = (np.array(number, x.dtype) for number in numbers)
    scaled, bent = scale != 1, alpha != 1
    positive = dy  # free as scratch space until the backward pass

    def forward() -> None:
        np.minimum(x, zero, out=power)
        np.exp(power, power)
        np.subtract(power, one, y)
        np.multiply(y, below, y)
        np.maximum(x, zero, out=positive)
        if scaled:
            np.multiply(positive, above, positive)
        np.add(y, positive, y)

    def backward() -> None:
        if dx is None:
            return
        if bent:
            np.greater(x, zero, dx)  # dx is now 1 where x > 0, else 0
            np.multiply(dx, jump, dx)
            np.add(dx, below, dx)
            np.multiply(dx, power, dx)
            np.multiply(dx, dy, dx)
        else:
            np.multiply(power, dy, dx)
            if scaled:
                np.multiply(dx, below, dx)

    return Bound(y, dy, forward, backward)
