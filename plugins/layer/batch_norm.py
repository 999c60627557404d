"""The layer ``batch_norm``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, Parameter, check_range, register


@register("batch_norm")
class BatchNorm(Layer):
    """Normalizes every feature over the batch.

    y = γ x̂ + β,  x̂ = (x − μ) / √(σ² + ε),  ∂l/∂γ = Σ_batch ∂l/∂y x̂,  ∂l/∂β = Σ_batch ∂l/∂y,
    ∂l/∂x = γ / √(σ² + ε) · (∂l/∂y − mean_batch ∂l/∂y − x̂ mean_batch(∂l/∂y x̂))

    In training μ and σ² are the mean and the variance of the batch; the variance has the divisor n, the
    number of rows. Every step updates the running mean and variance: running ← m running + (1 − m) batch.
    For this update, the batch's variance has the divisor n − 1, as in the paper and in PyTorch (Keras: n). m
    is the share of the running statistics that is kept, as in Keras and Flax; PyTorch's momentum is 1 − m. A
    batch of one row has x̂ = 0 and leaves the running variance as it is.

    In evaluation μ and σ² are the running statistics, which are constants: ∂l/∂x = γ / √(σ² + ε) · ∂l/∂y. x
    and y are (batch, features), γ and β (features,); the running mean starts at 0, the running variance at 1.
    Row weights do not affect the statistics. A linear layer before this layer needs no bias, because μ is
    subtracted.

    Options:
        momentum: m, the share of the running statistics that a step keeps, at least 0 and less than 1.
        epsilon: ε, more than 0 and finite.
        affine: whether γ, which starts at 1, and β, which starts at 0, are trained; else y = x̂.

    Source: Ioffe, Szegedy 2015, "Batch normalization: accelerating deep network training by reducing
    internal covariate shift".
    """

    examples = ({"affine": False},)

    def __init__(self, *, momentum: float = 0.9, epsilon: float = 1e-5, affine: bool = True) -> None:
        check_range("momentum", momentum, minimum=0, below=1)
        check_range("epsilon", epsilon, above=0, below=inf)
        self.momentum, self.epsilon, self.affine = momentum, epsilon, affine

    def parameters(self, n_in: int) -> dict[str, Parameter]:
        if not self.affine:
            return {}
        return {"gamma": Parameter((n_in,), {"name": "constant", "value": 1.0}), "beta": Parameter((n_in,))}

    def state(self, n_in: int) -> dict[str, Array]:
        return {"mean": np.zeros(n_in), "variance": np.ones(n_in)}

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        mu, variance = ctx.state["mean"], ctx.state["variance"]
        if ctx.training:
            n, m, running_mean, running_variance = len(x), self.momentum, mu, variance
            mu, variance = x.mean(0), x.var(0)
            running_mean[:] = m * running_mean + (1 - m) * mu
            if n > 1:
                running_variance[:] = m * running_variance + (1 - m) * variance * n / (n - 1)
        gamma, beta = (p["gamma"], p["beta"]) if self.affine else (1, 0)
        deviation = np.sqrt(variance + self.epsilon)
        xhat = (x - mu) / deviation

        def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
            dx = gamma / deviation * dy
            if ctx.training:
                dx = gamma / deviation * (dy - dy.mean(0) - xhat * (dy * xhat).mean(0))
            return dx, {"gamma": (dy * xhat).sum(0), "beta": dy.sum(0)} if self.affine else {}

        return gamma * xhat + beta, backward

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        xhat = ctx.array(*x.shape)
        products = ctx.array(*x.shape) if dx is None else dx
        row = (*x.shape[:-2], 1, x.shape[-1])
        deviation, factor, mean_d, mean_dx = (ctx.array(*row) for _ in range(4))
        training, affine = ctx.training, self.affine
        gamma, beta = (p["gamma"][..., None, :], p["beta"][..., None, :]) if affine else (factor, factor)
        sums = (g["gamma"], g["beta"]) if affine else (mean_dx[..., 0, :], mean_d[..., 0, :])
        g_gamma, g_beta = sums
        g_gamma_row, g_beta_row = (array[..., None, :] for array in sums)
        rows, ones = np.array(x.shape[-2], x.dtype), np.ones(x.shape[-2], x.dtype)
        epsilon = np.array(self.epsilon, x.dtype)
        center = self._center(x, xhat, y, deviation, ctx)

        def forward() -> None:
            center()
            np.add(deviation, epsilon, deviation)
            np.sqrt(deviation, deviation)
            np.divide(xhat, deviation, xhat)
            if affine:
                np.multiply(xhat, gamma, y)
                np.add(y, beta, y)
            else:
                np.copyto(y, xhat)

        def backward() -> None:
            if affine or training:
                np.multiply(dy, xhat, products)
                np.matmul(ones, products, g_gamma)
                np.matmul(ones, dy, g_beta)
            if dx is None:
                return
            if training:
                np.divide(g_gamma_row, rows, mean_dx)
                np.divide(g_beta_row, rows, mean_d)
                np.multiply(xhat, mean_dx, dx)
                np.subtract(dy, dx, dx)
                np.subtract(dx, mean_d, dx)
            else:
                np.copyto(dx, dy)
            if affine:
                np.divide(gamma, deviation, factor)
                np.multiply(dx, factor, dx)
            else:
                np.divide(dx, deviation, dx)

        return Bound(y, dy, forward, backward)

    def _center(
        self, x: Array, xhat: Array, squares: Array, variance: Array, ctx: Context
    ) -> Callable[[], None]:
        """A function that writes x − μ to ``xhat`` and σ² to ``variance``.

        In training the function also updates the running statistics.
        """
        running_mean, running_variance = ctx.state["mean"], ctx.state["variance"]
        if not ctx.training:

            def use_running() -> None:
                np.subtract(x, running_mean[..., None, :], xhat)
                np.copyto(variance, running_variance[..., None, :])

            return use_running

        n = x.shape[-2]
        mean, step = ctx.array(*variance.shape), ctx.array(*running_mean.shape)
        mean_row, variance_row = mean[..., 0, :], variance[..., 0, :]
        ones, rows = np.ones(n, x.dtype), np.array(n, x.dtype)
        keep, weigh_new = np.array(self.momentum, x.dtype), np.array(1 - self.momentum, x.dtype)
        unbiased = np.array((1 - self.momentum) * n / (n - 1), x.dtype) if n > 1 else None

        def use_batch() -> None:
            np.matmul(ones, x, mean_row)
            np.divide(mean, rows, mean)
            np.subtract(x, mean, xhat)
            np.multiply(xhat, xhat, squares)
            np.matmul(ones, squares, variance_row)
            np.divide(variance, rows, variance)
            np.multiply(running_mean, keep, running_mean)
            np.multiply(mean_row, weigh_new, step)
            np.add(running_mean, step, running_mean)
            if unbiased is not None:
                np.multiply(running_variance, keep, running_variance)
                np.multiply(variance_row, unbiased, step)
                np.add(running_variance, step, running_variance)

        return use_batch

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        gamma, beta = (p["gamma"], p["beta"]) if self.affine else (np.ones(n_in), np.zeros(n_in))
        statistics = state["mean"], state["variance"]
        return graph.node("BatchNormalization", x, gamma, beta, *statistics, epsilon=self.epsilon)
