"""The layer ``mish``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, register


@register("mish")
class Mish(Layer):
    """Self-regularized smooth unit, element by element.

    y = x t,  t = tanh(log(1 + exp x)),  ∂l/∂x = ∂l/∂y · (t + x (1 − t²) σ(x)),  σ(x) = 1 / (1 + exp(−x))

    The fast form computes a single exponential, e = exp x: t = e (e + 2) / (e (e + 2) + 2) and
    σ(x) = e / (1 + e). The fast form limits x to 40, where t is 1 to the last digit, so
    nothing overflows. x and y are
    (batch, features).

    Source: Misra 2020, "Mish: a self regularized non-monotonic activation function".
    """

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        t, sigmoid = np.tanh(np.logaddexp(0, x)), 1 / (1 + np.exp(-x))
        return x * t, lambda dy: (dy * (t + x * (1 - t**2) * sigmoid), {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        t, sigmoid = ctx.array(*x.shape), ctx.array(*x.shape)
        one, two, most = (np.array(number, x.dtype) for number in (1, 2, 40))
        # Further names of existing arrays: a name says what its array holds at that point. dy is free as
        # scratch space until the backward pass.
        power = numerator = t
        power_1 = power_2 = denominator = dy

        def forward() -> None:
            np.minimum(x, most, out=power)
            np.exp(power, power)
            np.add(power, one, power_1)  # eˣ + 1
            np.divide(power, power_1, sigmoid)
            np.add(power_1, one, power_2)  # eˣ + 2
            np.multiply(power, power_2, numerator)
            np.add(numerator, two, denominator)
            np.divide(numerator, denominator, t)
            np.multiply(x, t, y)

        def backward() -> None:
            if dx is not None:
                np.multiply(t, t, dx)
                np.subtract(one, dx, dx)
                np.multiply(dx, sigmoid, dx)
                np.multiply(dx, x, dx)
                np.add(dx, t, dx)
                np.multiply(dx, dy, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("Mish", x)
