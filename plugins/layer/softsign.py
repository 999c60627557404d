"""The layer ``softsign``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, register


@register("softsign")
class Softsign(Layer):
    """Smooth step from −1 to 1 that approaches its limits more slowly than tanh, element by element.

    y = x / (1 + |x|),  ∂l/∂x = ∂l/∂y / (1 + |x|)²

    x and y are (batch, features).

    Source: Glorot, Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".
    """

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        return x / (1 + np.abs(x)), lambda dy: (dy / (1 + np.abs(x)) ** 2, {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        denominator = ctx.array(*x.shape)  # 1 + |x|
        one = np.array(1, x.dtype)

        def forward() -> None:
            np.abs(x, denominator)
            np.add(denominator, one, denominator)
            np.divide(x, denominator, y)

        def backward() -> None:
            if dx is not None:
                np.divide(dy, denominator, dx)
                np.divide(dx, denominator, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("Softsign", x)
