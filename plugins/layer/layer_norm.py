"""The layer ``layer_norm``."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, Parameter, check_range, register


@register("layer_norm")
class LayerNorm(Layer):
    """Normalizes every row over its features.

    y = γ x̂ + β,  x̂ = (x − μ) / √(σ² + ε),  ∂l/∂γ = Σ_batch ∂l/∂y x̂,  ∂l/∂β = Σ_batch ∂l/∂y,
    ∂l/∂x = (d − mean d − x̂ mean(d x̂)) / √(σ² + ε) with d = γ ∂l/∂y

    μ and σ² are the mean and the variance of a row; the divisor of the variance is the number of features.
    The means in ∂l/∂x run over the features too. Training and evaluation are alike. x and y are (batch,
    features), γ and β (features,).

    Options:
        epsilon: ε, more than 0 and finite.
        affine: whether γ, which starts at 1, and β, which starts at 0, are trained; else y = x̂.

    Source: Ba, Kiros, Hinton 2016, "Layer normalization".
    """

    examples = ({"affine": False},)

    def __init__(self, *, epsilon: float = 1e-5, affine: bool = True) -> None:
        check_range("epsilon", epsilon, above=0, below=inf)
        self.epsilon, self.affine = epsilon, affine

    def parameters(self, n_in: int) -> dict[str, Parameter]:
        if not self.affine:
            return {}
        return {"gamma": Parameter((n_in,), {"name": "constant", "value": 1.0}), "beta": Parameter((n_in,))}

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        gamma, beta = (p["gamma"], p["beta"]) if self.affine else (1, 0)
        mu, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        deviation = np.sqrt(variance + self.epsilon)
        xhat = (x - mu) / deviation

        def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
            d = gamma * dy
            dx = (d - d.mean(-1, keepdims=True) - xhat * (d * xhat).mean(-1, keepdims=True)) / deviation
            return dx, {"gamma": (dy * xhat).sum(0), "beta": dy.sum(0)} if self.affine else {}

        return gamma * xhat + beta, backward

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        xhat, scratch = ctx.array(*x.shape), ctx.array(*x.shape)
        deviation, column = (ctx.array(*x.shape[:-1], 1) for _ in range(2))
        variance, row = deviation[..., 0], column[..., 0]
        affine = self.affine
        gamma, beta = (p["gamma"][..., None, :], p["beta"][..., None, :]) if affine else (column, column)
        g_gamma, g_beta = (g["gamma"], g["beta"]) if affine else (column, column)
        features, epsilon = np.array(x.shape[-1], x.dtype), np.array(self.epsilon, x.dtype)
        ones = np.ones(x.shape[-2], x.dtype)
        # Further names of existing arrays: a name says what its array holds at that point. ``row`` is
        # ``column`` without its last axis.
        products = projection = scratch
        mean = mean_product = mean_d = row
        mean_column = mean_product_column = mean_d_column = column

        def forward() -> None:
            np.add.reduce(x, -1, out=mean)
            np.divide(mean, features, mean)
            np.subtract(x, mean_column, xhat)
            np.vecdot(xhat, xhat, variance)
            np.divide(variance, features, variance)
            np.add(variance, epsilon, variance)
            np.sqrt(variance, variance)
            np.divide(xhat, deviation, xhat)
            if affine:
                np.multiply(xhat, gamma, y)
                np.add(y, beta, y)
            else:
                np.copyto(y, xhat)

        def backward() -> None:
            if affine:
                np.multiply(dy, xhat, products)
                np.matmul(ones, products, g_gamma)
                np.matmul(ones, dy, g_beta)
            if dx is None:
                return
            d = dy
            if affine:
                d = np.multiply(dy, gamma, dx)
            np.vecdot(d, xhat, mean_product)
            np.divide(mean_product, features, mean_product)
            np.multiply(xhat, mean_product_column, projection)
            np.add.reduce(d, -1, out=mean_d)
            np.divide(mean_d, features, mean_d)
            np.subtract(d, projection, dx)
            np.subtract(dx, mean_d_column, dx)
            np.divide(dx, deviation, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        gamma, beta = (p["gamma"], p["beta"]) if self.affine else (np.ones(n_in), np.zeros(n_in))
        return graph.node("LayerNormalization", x, gamma, beta, epsilon=self.epsilon)
