"""The layer ``scale``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, Parameter, register


@register("scale")
class Scale(Layer):
    """Multiplies every feature by a trained factor, so that the network weighs its inputs.

    y = s ∘ x,  ∂l/∂s = Σ_batch ∂l/∂y ∘ x,  ∂l/∂x = s ∘ ∂l/∂y

    The factors start at 1. As the first layer of a network for tables, the layer lets the optimizer turn down
    features that do not matter; in the paper the factors' learning rate is six times that of the weights (see
    ``optimizer.rates``). Weight decay does not apply to s. x and y are (batch, features), s is (features,).

    Source: Holzmüller, Grinsztajn, Steinwart 2024, "Better by default: strong pre-tuned MLPs and boosted
    trees on tabular data".
    """

    def parameters(self, n_in: int) -> dict[str, Parameter]:
        return {"s": Parameter((n_in,), {"name": "constant", "value": 1.0})}

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        return x * p["s"], lambda dy: (dy * p["s"], {"s": (dy * x).sum(0)})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        s, gs = p["s"][..., None, :], g["s"]
        products = ctx.array(*x.shape) if dx is None else dx
        ones = np.ones(x.shape[-2], x.dtype)

        def forward() -> None:
            np.multiply(x, s, y)

        def backward() -> None:
            np.multiply(dy, x, products)
            np.matmul(ones, products, gs)
            if dx is not None:
                np.multiply(dy, s, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("Mul", x, p["s"])
