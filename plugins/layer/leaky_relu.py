"""The layer ``leaky_relu``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, check_range, register


@register("leaky_relu")
class LeakyReLU(Layer):
    """Rectified linear unit with a small slope below 0, element by element.

    y = max(x, s x) with the slope s,  ∂l/∂x = ∂l/∂y where x > 0, else s ∂l/∂y

    At exactly 0, where y has no derivative, s is used as the derivative. x and y are (batch, features).

    Options:
        slope: s, at least 0 and at most 1.

    Source: Maas, Hannun, Ng 2013, "Rectifier nonlinearities improve neural network acoustic models".
    """

    def __init__(self, *, slope: float = 0.01) -> None:
        check_range("slope", slope, minimum=0, maximum=1)
        self.slope = slope

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        s = self.slope
        return np.maximum(x, s * x), lambda dy: (np.where(x > 0, dy, s * dy), {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        zero, slope = np.array(0, x.dtype), np.array(self.slope, x.dtype)

        def forward() -> None:
            np.multiply(x, slope, y)
            np.maximum(x, y, out=y)

        def backward() -> None:
            if dx is not None:
                np.greater(x, zero, dx)  # dx is now 1 where x > 0, else 0
                np.maximum(dx, slope, out=dx)
                np.multiply(dx, dy, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("LeakyRelu", x, alpha=self.slope)
