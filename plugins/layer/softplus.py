"""The layer ``softplus``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, register


@register("softplus")
class Softplus(Layer):
    """Smooth rectifier, element by element.

    y = log(1 + exp x) = max(x, 0) + log(1 + exp(−|x|)),  ∂l/∂x = ∂l/∂y · σ(x)

    The fast form computes the second expression, which cannot overflow and stays positive far below 0. σ(x)
    is 1 / (1 + exp(−x)). x and y are (batch, features).

    Source: Dugas, Bengio, Bélisle, Nadeau, Garcia 2001, "Incorporating second-order functional knowledge
    for better option pricing".
    """

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        sigmoid = 1 / (1 + np.exp(-x))
        return np.logaddexp(0, x), lambda dy: (dy * sigmoid, {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        denominator = dy if dx is None else ctx.array(*x.shape)
        zero, one, most = (np.array(number, x.dtype) for number in (0, 1, 80))
        positive = dy  # free as scratch space until the backward pass

        def forward() -> None:
            np.abs(x, y)
            np.negative(y, y)
            np.exp(y, y)
            np.log1p(y, y)
            np.maximum(x, zero, out=positive)
            np.add(y, positive, y)

        def backward() -> None:
            if dx is not None:
                np.minimum(x, most, out=dx)  # above 80, σ is 1 to the last digit
                np.exp(dx, dx)
                np.add(dx, one, denominator)
                np.divide(dx, denominator, dx)
                np.multiply(dx, dy, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("Softplus", x)
