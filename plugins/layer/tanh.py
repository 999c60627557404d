"""The layer ``tanh``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, register


@register("tanh")
class Tanh(Layer):
    """Hyperbolic tangent, element by element.

    y = tanh x,  ∂l/∂x = ∂l/∂y · (1 − y²)

    x and y are (batch, features).

    Source: LeCun, Bottou, Orr, Müller 1998, "Efficient BackProp".
    """

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        y = np.tanh(x)
        return y, lambda dy: (dy * (1 - y**2), {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        one = np.array(1, x.dtype)  # NumPy calls are faster with an array than with a Python number

        def forward() -> None:
            np.tanh(x, y)

        def backward() -> None:
            if dx is not None:
                np.multiply(y, y, dx)
                np.subtract(one, dx, dx)
                np.multiply(dx, dy, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("Tanh", x)
