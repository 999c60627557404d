"""The layer ``dropout``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, check_range, register

from ._random import identity, keep_mask


@register("dropout")
class Dropout(Layer):
    """Sets random elements to 0 in training, and scales the others up to keep the expectation unchanged.

    y = x m,  m = 0 with probability r, else 1 / (1 − r),  ∂l/∂x = m ∂l/∂y

    Every element of every row is drawn anew at every step. In evaluation y = x: the scaling is done in
    training ("inverted" dropout; the paper scales the weights down in evaluation instead). x, m and y are
    (batch, features).

    Options:
        rate: r, the share of elements that are dropped, at least 0 and less than 1.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014, "Dropout: a simple way to prevent
    neural networks from overfitting".
    """

    def __init__(self, *, rate: float = 0.5) -> None:
        check_range("rate", rate, minimum=0, below=1)
        self.rate = rate

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        if not ctx.training or self.rate == 0:
            return x, lambda dy: (dy, {})
        m = (ctx.rng.random(x.shape, x.dtype) >= self.rate) / (1 - self.rate)
        return x * m, lambda dy: (dy * m, {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        if not ctx.training or self.rate == 0:
            return identity(x, dx, ctx)
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        mask = ctx.array(*x.shape)
        draw = keep_mask(mask, dy, self.rate, 1 / (1 - self.rate), ctx)  # dy is free until the backward pass

        def forward() -> None:
            draw()
            np.multiply(x, mask, y)

        def backward() -> None:
            if dx is not None:
                np.multiply(dy, mask, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return x  # nothing is dropped in evaluation
