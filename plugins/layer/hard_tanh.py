"""The layer ``hard_tanh``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, register


@register("hard_tanh")
class HardTanh(Layer):
    """Hyperbolic tangent made of three straight lines, element by element.

    y = min(max(x, −1), 1),  ∂l/∂x = ∂l/∂y where −1 ≤ x ≤ 1, else 0

    At exactly −1 and 1, where y has no derivative, 1 is used as the derivative (PyTorch: 0), so that inputs
    of exactly −1 and 1 pass on a gradient. x and y are (batch, features).

    Source: Collobert 2004, "Large scale machine learning".
    """

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        y = np.minimum(np.maximum(x, -1), 1)
        return y, lambda dy: (dy * (np.abs(x) <= 1), {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        least, most = np.array(-1, x.dtype), np.array(1, x.dtype)

        def forward() -> None:
            np.maximum(x, least, out=y)
            np.minimum(y, most, out=y)

        def backward() -> None:
            if dx is not None:
                np.equal(x, y, dx)  # dx is now 0 where y was cut off, else 1
                np.multiply(dx, dy, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("Clip", x, -1.0, 1.0)
