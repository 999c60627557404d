"""The layer ``prelu``."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, Parameter, check_range, register


@register("prelu")
class PReLU(Layer):
    """Rectified linear unit whose slope below 0 is trained.

    y = max(x, 0) + a min(x, 0),  ∂l/∂a = Σ_batch ∂l/∂y min(x, 0),
    ∂l/∂x = ∂l/∂y where x > 0, else a ∂l/∂y

    At exactly 0, where y has no derivative, a is used as the derivative. x and y are (batch, features), a is
    (features,), or (1,) if it is shared; ∂l/∂a is then summed over the features too. As in the paper, weight
    decay does not apply to a: it would pull the unit back to a plain rectifier.

    Options:
        slope: the initial a, finite.
        shared: whether all features share one slope.

    Source: He, Zhang, Ren, Sun 2015, "Delving deep into rectifiers: surpassing human-level performance
    on ImageNet classification".
    """

    examples = ({"shared": True},)

    def __init__(self, *, slope: float = 0.25, shared: bool = False) -> None:
        check_range("slope", slope, above=-inf, below=inf)
        self.slope, self.shared_slope = slope, shared

    def parameters(self, n_in: int) -> dict[str, Parameter]:
        shape = (1,) if self.shared_slope else (n_in,)
        return {"a": Parameter(shape, {"name": "constant", "value": self.slope})}

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        a, negative = p["a"], np.minimum(x, 0)

        def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
            da = (dy * negative).sum(0)
            return np.where(x > 0, dy, a * dy), {"a": da.sum(keepdims=True) if self.shared_slope else da}

        return np.maximum(x, 0) + a * negative, backward

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        negative = ctx.array(*x.shape)
        products = ctx.array(*x.shape) if dx is None else dx
        a, ga, shared = p["a"][..., None, :], g["a"], self.shared_slope
        less_one = ctx.array(*a.shape)
        zero, one, ones = np.array(0, x.dtype), np.array(1, x.dtype), np.ones(x.shape[-2], x.dtype)
        flat_negative, flat_dy = (array.reshape(*x.shape[:-2], -1) for array in (negative, dy))
        positive = dy  # free as scratch space until the backward pass

        def forward() -> None:
            np.minimum(x, zero, out=negative)
            np.multiply(negative, a, y)
            np.maximum(x, zero, out=positive)
            np.add(y, positive, y)

        def backward() -> None:
            if shared:
                np.vecdot(flat_dy, flat_negative, ga[..., 0])
            else:
                np.multiply(dy, negative, products)
                np.matmul(ones, products, ga)
            if dx is not None:
                np.subtract(a, one, less_one)
                np.less_equal(x, zero, dx)  # dx is now 1 where x <= 0, else 0
                np.multiply(dx, less_one, dx)
                np.add(dx, one, dx)
                np.multiply(dx, dy, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("PRelu", x, p["a"])
