"""The layer ``log_softmax``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, register


@register("log_softmax")
class LogSoftmax(Layer):
    """Logarithms of probabilities from logits, row by row.

    y_i = x_i − log Σ_j exp x_j,  ∂l/∂x_i = ∂l/∂y_i − exp y_i Σ_j ∂l/∂y_j

    The largest logit is subtracted first, so nothing overflows and no logarithm of 0 is taken. x and y are
    (batch, features); the sums run over the features. The loss cross_entropy has the same value for y as for
    x; the loss nll takes probabilities, not their logarithms.

    Source: Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs".
    """

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        y = x - x.max(-1, keepdims=True)
        y = y - np.log(np.exp(y).sum(-1, keepdims=True))
        return y, lambda dy: (dy - np.exp(y) * dy.sum(-1, keepdims=True), {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        column = ctx.array(*x.shape[:-1], 1)
        row = column[..., 0]
        # Further names of existing arrays: a name says what its array holds at that point. ``row`` is
        # ``column`` without its last axis.
        top = total = log_total = sum_dy = row
        top_column = log_total_column = sum_dy_column = column
        powers = dy  # free as scratch space until the backward pass

        def forward() -> None:
            np.maximum.reduce(x, -1, out=top)
            np.subtract(x, top_column, y)
            np.exp(y, powers)
            np.add.reduce(powers, -1, out=total)
            np.log(total, log_total)
            np.subtract(y, log_total_column, y)

        def backward() -> None:
            if dx is not None:
                np.add.reduce(dy, -1, out=sum_dy)
                np.exp(y, dx)
                np.multiply(dx, sum_dy_column, dx)
                np.subtract(dy, dx, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("LogSoftmax", x)
