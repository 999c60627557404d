"""The layer ``ntk_linear``."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, Parameter, Spec, check_range, register


@register("ntk_linear")
class NTKLinear(Layer):
    """Affine map whose weights W are of order 1 for any number of inputs.

    y = c x W + b with c = 1 / √n_in,  ∂l/∂W = c xᵀ ∂l/∂y,  ∂l/∂b = Σ_batch ∂l/∂y,  ∂l/∂x = c ∂l/∂y Wᵀ

    The layer computes the same functions as ``linear`` with weights c W. What differs is training: an
    optimizer such as Adam changes every W by about the learning rate, and so every weight c W by the learning
    rate times c. One learning rate therefore suits layers, and tables, with few and with many inputs. This
    rate is about √n_in times as large as for ``linear``. x is (batch, n_in), W (n_in, units), b (units,),
    y (batch, units).

    Options:
        units: number of outputs, at least 1; if null, a model inserts the number of outputs of the network.
        init: initializer of W, a name or a mapping with name and options.
        bias: initializer of b, a name or a mapping with name and options.

    Source: Jacot, Gabriel, Hongler 2018, "Neural tangent kernel: convergence and generalization in neural
    networks"; for tables: Holzmüller, Grinsztajn, Steinwart 2024, "Better by default: strong pre-tuned MLPs
    and boosted trees on tabular data".
    """

    def __init__(self, *, units: int | None = None, init: Spec = "normal", bias: Spec = "normal") -> None:
        if units is None:
            raise ValueError("units must be given; only a layer listed directly in a model may omit units")
        check_range("units", units, minimum=1)
        self.units, self.init, self.bias = units, init, bias

    def n_out(self, n_in: int) -> int:
        return self.units

    def parameters(self, n_in: int) -> dict[str, Parameter]:
        return {
            "W": Parameter((n_in, self.units), self.init, n_in, self.units, decay=True),
            "b": Parameter((self.units,), self.bias),
        }

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        c = 1 / sqrt(x.shape[1])

        def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
            return c * dy @ p["W"].T, {"W": c * x.T @ dy, "b": dy.sum(0)}

        return c * x @ p["W"] + p["b"], backward

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy, scaled = (ctx.array(*x.shape[:-1], self.units) for _ in range(3))
        W, gW, b, gb = p["W"], g["W"], p["b"][..., None, :], g["b"]
        xT, WT = x.swapaxes(-1, -2), W.swapaxes(-1, -2)
        c, ones = 1 / sqrt(x.shape[-1]), np.ones(x.shape[-2], x.dtype)

        def forward() -> None:
            np.matmul(x, W, y)
            np.multiply(y, c, y)
            np.add(y, b, y)

        def backward() -> None:
            np.matmul(ones, dy, gb)
            np.multiply(dy, c, scaled)
            np.matmul(xT, scaled, gW)
            if dx is not None:
                np.matmul(scaled, WT, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("Gemm", x, p["W"] / sqrt(n_in), p["b"])
