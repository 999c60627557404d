"""The layer ``alpha_dropout``."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, check_range, register

from ._exponential import ALPHA, SCALE
from ._random import identity, keep_mask

DROPPED = -SCALE * ALPHA
"""α′ in the formula of alpha_dropout: the limit of selu far below 0."""


@register("alpha_dropout")
class AlphaDropout(Layer):
    """Dropout for selu: sets random elements to selu's lower limit, and keeps mean 0 and variance 1.

    y = a (x m + α′ (1 − m)) + b,  m = 0 with probability r, else 1,  ∂l/∂x = a m ∂l/∂y,
    a = ((1 − r) (1 + r α′²))^(−1/2),  b = −a r α′,  α′ = −λ α = −1.75809…

    λ and α are those of selu. Every element of m is drawn anew at every step. If x has mean 0 and variance 1,
    so has y; any other mean or variance changes. In evaluation y = x. x, m and y are (batch, features).

    Options:
        rate: r, the share of elements that are dropped, at least 0 and less than 1.

    Source: Klambauer, Unterthiner, Mayr, Hochreiter 2017, "Self-normalizing neural networks".
    """

    def __init__(self, *, rate: float = 0.1) -> None:
        check_range("rate", rate, minimum=0, below=1)
        self.rate = rate

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        r, alpha = self.rate, DROPPED
        if not ctx.training or r == 0:
            return x, lambda dy: (dy, {})
        a = 1 / sqrt((1 - r) * (1 + r * alpha**2))
        b = -a * r * alpha
        m = ctx.rng.random(x.shape, x.dtype) >= r
        return a * np.where(m, x, alpha) + b, lambda dy: (a * dy * m, {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        rate = self.rate
        if not ctx.training or rate == 0:
            return identity(x, dx, ctx)
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        a = 1 / sqrt((1 - rate) * (1 + rate * DROPPED**2))
        mask = ctx.array(*x.shape)  # holds the product a m of the formula
        draw = keep_mask(mask, dy, rate, a, ctx)  # dy is free as scratch space until the backward pass
        dropped, offset = (np.array(number, x.dtype) for number in (DROPPED, a * (1 - rate) * DROPPED))

        def forward() -> None:
            # the docstring's formula for y, rearranged: y = a m (x − α′) + a α′ + b
            draw()
            np.subtract(x, dropped, y)
            np.multiply(y, mask, y)
            np.add(y, offset, y)

        def backward() -> None:
            if dx is not None:
                np.multiply(dy, mask, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return x  # nothing is dropped in evaluation
