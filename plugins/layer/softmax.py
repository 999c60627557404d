"""The layer ``softmax``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, register


@register("softmax")
class Softmax(Layer):
    """Probabilities from logits, row by row.

    y_i = exp x_i / Σ_j exp x_j,  ∂y_i/∂x_j = y_i (δ_ij − y_j),  ∂l/∂x_i = y_i (∂l/∂y_i − Σ_j ∂l/∂y_j y_j)

    The largest logit is subtracted first, so nothing overflows. x and y are (batch, features); the sums run
    over the features. If softmax is the last layer, use the loss nll: the loss cross_entropy
    computes a softmax itself.

    Source: Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs".
    """

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        y = np.exp(x - x.max(-1, keepdims=True))
        y = y / y.sum(-1, keepdims=True)
        return y, lambda dy: (y * (dy - (dy * y).sum(-1, keepdims=True)), {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        column = ctx.array(*x.shape[:-1], 1)
        row = column[..., 0]
        # Further names of existing arrays: a name says what its array holds at that point. ``row`` is
        # ``column`` without its last axis.
        top = total = mean_dy = row
        top_column = total_column = mean_dy_column = column
        powers = y

        def forward() -> None:
            np.maximum.reduce(x, -1, out=top)
            np.subtract(x, top_column, powers)
            np.exp(powers, powers)
            np.add.reduce(powers, -1, out=total)
            np.divide(powers, total_column, y)

        def backward() -> None:
            if dx is not None:
                np.vecdot(dy, y, mean_dy)  # Σ_j y_j dy_j
                np.subtract(dy, mean_dy_column, dx)
                np.multiply(dx, y, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("Softmax", x)
