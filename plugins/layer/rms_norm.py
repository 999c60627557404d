"""The layer ``rms_norm``."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, Parameter, check_range, register


@register("rms_norm")
class RMSNorm(Layer):
    """Divides every row by the root of the mean square of its features.

    y = γ x̂,  x̂ = x / r,  r = √(mean x² + ε),  ∂l/∂γ = Σ_batch ∂l/∂y x̂,
    ∂l/∂x = (d − x̂ mean(d x̂)) / r with d = γ ∂l/∂y

    The means run over the features of a row. Training and evaluation are alike. ε is inside the root, as in
    most implementations; the paper has no ε. x and y are (batch, features), γ is (features,).

    Options:
        epsilon: ε, more than 0 and finite.
        affine: whether γ, which starts at 1, is trained; else y = x̂.

    Source: Zhang, Sennrich 2019, "Root mean square layer normalization".
    """

    examples = ({"affine": False},)

    def __init__(self, *, epsilon: float = 1e-5, affine: bool = True) -> None:
        check_range("epsilon", epsilon, above=0, below=inf)
        self.epsilon, self.affine = epsilon, affine

    def parameters(self, n_in: int) -> dict[str, Parameter]:
        return {"gamma": Parameter((n_in,), {"name": "constant", "value": 1.0})} if self.affine else {}

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        gamma = p["gamma"] if self.affine else 1
        r = np.sqrt((x**2).mean(-1, keepdims=True) + self.epsilon)
        xhat = x / r

        def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
            d = gamma * dy
            dx = (d - xhat * (d * xhat).mean(-1, keepdims=True)) / r
            return dx, {"gamma": (dy * xhat).sum(0)} if self.affine else {}

        return gamma * xhat, backward

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        xhat, products = ctx.array(*x.shape), ctx.array(*x.shape)
        root, mean_product_column = (ctx.array(*x.shape[:-1], 1) for _ in range(2))
        mean_square, mean_product = root[..., 0], mean_product_column[..., 0]
        affine = self.affine
        unused = mean_product_column
        gamma, g_gamma = (p["gamma"][..., None, :], g["gamma"]) if affine else (unused, unused)
        features, epsilon = np.array(x.shape[-1], x.dtype), np.array(self.epsilon, x.dtype)
        ones = np.ones(x.shape[-2], x.dtype)
        projection = products  # the same array, which holds the projection later

        def forward() -> None:
            np.vecdot(x, x, mean_square)
            np.divide(mean_square, features, mean_square)
            np.add(mean_square, epsilon, mean_square)
            np.sqrt(mean_square, mean_square)  # now the array ``root`` holds r
            np.divide(x, root, xhat)
            if affine:
                np.multiply(xhat, gamma, y)
            else:
                np.copyto(y, xhat)

        def backward() -> None:
            if affine:
                np.multiply(dy, xhat, products)
                np.matmul(ones, products, g_gamma)
            if dx is None:
                return
            d = dy
            if affine:
                d = np.multiply(dy, gamma, dx)
            np.vecdot(d, xhat, mean_product)
            np.divide(mean_product, features, mean_product)
            np.multiply(xhat, mean_product_column, projection)
            np.subtract(d, projection, dx)
            np.divide(dx, root, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        mean_square = graph.node("ReduceMean", graph.node("Mul", x, x), np.array([-1]))
        xhat = graph.node("Div", x, graph.node("Sqrt", graph.node("Add", mean_square, self.epsilon)))
        return graph.node("Mul", xhat, p["gamma"]) if self.affine else xhat
