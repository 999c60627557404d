"""The engine ``fused``: plain SGD whose weight gradients are never stored.

BLAS computes C ← α A B + β C in one pass over C. With C = W, A B = xᵀ ∂l/∂y, α = −η and β = 1 − η λ, this one
pass computes the gradient of a linear layer, applies weight decay and updates W. The engine ``numpy`` passes
over memory four times for the same result. This engine calls BLAS through SciPy, which has its own BLAS
threads beside NumPy's. Two thread pools that wait for each other's processors are many times slower, so this
engine is for one thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from ...api import (
    Array,
    Block,
    Bound,
    Context,
    Engine,
    EngineNetwork,
    EnginePlan,
    EngineUpdater,
    Layer,
    Losses,
    Means,
    register,
)
from .numpy import step_by_step

SMALL = 16_384
"""With fewer weights than this, separate passes over memory are faster than one BLAS call with α and β."""


class Rate:
    """The learning rate of the current step."""

    lr = 0.0


class Descending(Layer):
    """A linear layer whose backward pass changes its parameters instead of writing their gradients.

    Args:
        linear: the layer.
        rate: holds the learning rate η when ``backward`` is called.
        decay: the weight decay λ.
    """

    name = "linear"

    def __init__(self, linear: Layer, rate: Rate, decay: float) -> None:
        self._linear, self._rate, self._decay = linear, rate, decay

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        from scipy.linalg import get_blas_funcs

        y, dy, forward, gradients = self._linear.bind(x, dx, p, g, ctx)
        W, b, rate, decay = p["W"], p.get("b"), self._rate, self._decay
        if W.size < SMALL:
            pairs = [(p[name], g[name], decay if name == "W" else 0.0) for name in p]

            def descend() -> None:
                gradients()
                lr = rate.lr
                for parameter, gradient, share in pairs:
                    if share:
                        np.multiply(parameter, 1 - lr * share, parameter)
                    np.multiply(gradient, lr, gradient)
                    np.subtract(parameter, gradient, parameter)

            return Bound(y, dy, forward, descend)

        gemm: Any = get_blas_funcs("gemm", (W,))
        # BLAS expects arrays that are stored by columns. NumPy stores W by rows, so Wᵀ is stored by columns.
        WT, xT, dyT = W.T, x.T, dy.T
        ones, db = np.ones(len(x), x.dtype), np.empty(dy.shape[1], dy.dtype)

        def backward() -> None:
            if dx is not None:
                np.dot(dy, WT, dx)
            lr = rate.lr
            gemm(-lr, dyT, xT, 1 - lr * decay, WT, 0, 1, 1)  # Wᵀ ← (1 − η λ) Wᵀ − η ∂l/∂yᵀ x, in place
            if b is not None:
                np.dot(ones, dy, db)
                np.multiply(db, lr, db)
                np.subtract(b, db, b)

        return Bound(y, dy, forward, backward)


@register("fused")
class FusedEngine(Engine):
    """Plain SGD: one product computes a weight matrix's gradient and applies it; for one BLAS thread."""

    priority = 20

    def refuses(self, network: EngineNetwork, updater: EngineUpdater) -> str | None:
        if updater.optimizer.name != "sgd":
            return f"it supports optimizer=sgd, not optimizer={updater.optimizer.name}"
        if special := ", ".join(updater.rules.special):
            return f"it supports neither clipping nor rules for single parameters ({special})"
        if network.w.ndim > 1:
            return "it runs one network at a time, not replicas"
        for layer, width in zip(network.layers, network.widths, strict=False):
            if layer.name != "linear" and layer.parameters(width):
                return f"it trains the parameters of linear layers, not of the layer {layer.name}"
        if any(pool["num_threads"] > 1 for pool in threadpool_info() if pool["user_api"] == "blas"):
            return "it needs a single BLAS thread (threads=1)"
        return None

    def suits(self, network: EngineNetwork, batch_size: int) -> bool:
        return any(array.size >= SMALL for array in network.views(network.w).values())

    def bind(self, network: EngineNetwork, updater: EngineUpdater) -> None:
        import scipy.linalg  # noqa: F401 - loads the BLAS of SciPy before its threads are limited

        threadpool_limits(1, user_api="blas")
        self._updater, self._rate = updater, Rate()
        decay = updater.rules.weight_decay
        self._network = network.with_layers(
            Descending(layer, self._rate, decay) if layer.name == "linear" else layer
            for layer in network.layers
        )

    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        return step_by_step(self._network, blocks, self._train)

    def _train(self, plan: EnginePlan, lr: float) -> Means:
        self._rate.lr = lr
        loss = plan.step()
        self._updater.step += 1
        return loss
