"""The layer ``hard_sigmoid``."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, check_range, register


@register("hard_sigmoid")
class HardSigmoid(Layer):
    """Logistic function made of three straight lines, element by element.

    y = min(max(s x + 1/2, 0), 1) with the slope s,  ∂l/∂x = s ∂l/∂y where y is not cut off, else 0

    The slope is 1/2 in the paper; 1/6 in PyTorch and Keras 3, where y reaches 0 at −3 and 1 at 3; 0.2 in
    older Keras. Exactly where y reaches 0 or 1, s is taken as the derivative (PyTorch: 0). x and y are
    (batch, features).

    Options:
        slope: s, more than 0 and finite.

    Source: Courbariaux, Bengio, David 2015, "BinaryConnect: training deep neural networks with binary
    weights during propagations".
    """

    examples = ({"slope": 0.5},)

    def __init__(self, *, slope: float = 1 / 6) -> None:
        check_range("slope", slope, above=0, below=inf)
        self.slope = slope

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        s = self.slope
        line = s * x + 1 / 2
        y = np.minimum(np.maximum(line, 0), 1)
        return y, lambda dy: (s * dy * (y == line), {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        line = ctx.array(*x.shape)
        zero, half, one, slope = (np.array(number, x.dtype) for number in (0, 0.5, 1, self.slope))

        def forward() -> None:
            np.multiply(x, slope, line)
            np.add(line, half, line)
            np.maximum(line, zero, out=y)
            np.minimum(y, one, out=y)

        def backward() -> None:
            if dx is not None:
                np.equal(line, y, dx)  # dx is now 0 where y was cut off, else 1
                np.multiply(dx, slope, dx)
                np.multiply(dx, dy, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("HardSigmoid", x, alpha=self.slope, beta=0.5)
