"""The layer ``relu``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, register


@register("relu")
class ReLU(Layer):
    """Rectified linear unit, element by element.

    y = max(x, 0),  ∂l/∂x = ∂l/∂y where x > 0, else 0

    At exactly 0, where y has no derivative, 0 is used as the derivative. x and y are (batch, features).

    Source: Nair, Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".
    """

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        return np.maximum(x, 0), lambda dy: (dy * (x > 0), {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        zero = np.array(0, x.dtype)  # NumPy calls are faster with an array than with a Python number

        def forward() -> None:
            np.maximum(x, zero, out=y)

        def backward() -> None:
            if dx is not None:
                np.greater(x, zero, dx)  # dx is now 1 where x > 0, else 0
                np.multiply(dx, dy, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("Relu", x)
