"""The layer ``sigmoid``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, register


@register("sigmoid")
class Sigmoid(Layer):
    """Logistic function, element by element.

    y = 1 / (1 + exp(−x)) = exp x / (1 + exp x),  ∂l/∂x = ∂l/∂y · y (1 − y)

    The fast form computes the second expression, with x limited to 80, where y is 1 to the last digit, so
    nothing overflows. x and y are (batch, features).

    Source: Rumelhart, Hinton, Williams 1986, "Learning representations by back-propagating errors".
    """

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        y = 1 / (1 + np.exp(-x))
        return y, lambda dy: (dy * y * (1 - y), {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        # NumPy calls are faster with arrays than with Python numbers
        one, most = np.array(1, x.dtype), np.array(80, x.dtype)
        # y and dy first hold intermediate results; dy is free until the backward pass
        power, denominator = y, dy

        def forward() -> None:
            np.minimum(x, most, out=power)
            np.exp(power, power)
            np.add(power, one, denominator)
            np.divide(power, denominator, y)

        def backward() -> None:
            if dx is not None:
                np.multiply(y, y, dx)
                np.subtract(y, dx, dx)
                np.multiply(dx, dy, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("Sigmoid", x)
