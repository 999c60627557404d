"""What the layers share that are exponential below 0 and linear above."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Bound, Context

ALPHA = 1.6732632423543772848
SCALE = 1.0507009873554804934
"""selu's α and λ: with these, N(0, 1) keeps its mean 0 and variance 1 (the paper's equation 14)."""


def bind_exponential(x: Array, dx: Array | None, ctx: Context, scale: float, alpha: float) -> Bound:
    """y = scale · (max(x, 0) + α (exp min(x, 0) − 1)).

    exp − 1 is computed directly, at a fraction of the cost of expm1. The error is one rounding of 1, and 1 is
    the size of y. The derivative is a multiple of the exponential itself and loses no precision.
    """
    y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
    power = ctx.array(*x.shape)  # 1 where x > 0
    numbers = (0, 1, scale, scale * alpha, scale - scale * alpha)
    zero, one, above, below, jump = (np.array(number, x.dtype) for number in numbers)
    scaled, bent = scale != 1, alpha != 1
    positive = dy  # not in use before backward

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
            np.greater(x, zero, dx)  # 1 or 0, as numbers
            np.multiply(dx, jump, dx)
            np.add(dx, below, dx)
            np.multiply(dx, power, dx)
            np.multiply(dx, dy, dx)
        else:
            np.multiply(power, dy, dx)
            if scaled:
                np.multiply(dx, below, dx)

    return Bound(y, dy, forward, backward)
