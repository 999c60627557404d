"""The layer ``silu``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, register


@register("silu")
class SiLU(Layer):
    """Sigmoid linear unit, element by element; also known as swish.

    y = x σ(x),  σ(x) = 1 / (1 + exp(−x)),  ∂l/∂x = ∂l/∂y · (σ(x) + y (1 − σ(x)))

    x and y are (batch, features).

    Source: Elfwing, Uchibe, Doya 2018, "Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning".
    """

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        sigmoid = 1 / (1 + np.exp(-x))
        y = x * sigmoid
        return y, lambda dy: (dy * (sigmoid + y * (1 - sigmoid)), {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        sigmoid = ctx.array(*x.shape)
        one, most = np.array(1, x.dtype), np.array(80, x.dtype)  # at 80, σ is 1 to the last digit
        # both arrays first hold intermediate results; dy is free until the backward pass
        power, denominator = sigmoid, dy

        def forward() -> None:
            np.minimum(x, most, out=power)
            np.exp(power, power)
            np.add(power, one, denominator)
            np.divide(power, denominator, sigmoid)
            np.multiply(x, sigmoid, y)

        def backward() -> None:
            if dx is not None:
                np.multiply(y, sigmoid, dx)
                np.subtract(y, dx, dx)
                np.add(dx, sigmoid, dx)
                np.multiply(dx, dy, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        # Mul and Sigmoid are avoided: onnxruntime 1.20 fuses them into an operator that lacks float64
        return graph.node("Div", x, graph.node("Add", graph.node("Exp", graph.node("Neg", x)), 1.0))
