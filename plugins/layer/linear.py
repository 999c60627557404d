"""The layer ``linear``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, Parameter, Spec, check_range, register

SMALL = 16_384
"""For fewer weights than this, np.dot is faster than np.matmul, although np.dot clears its result first."""


@register("linear")
class Linear(Layer):
    """Affine map of the features.

    y = x W + b,  ∂l/∂W = xᵀ ∂l/∂y,  ∂l/∂b = Σ_batch ∂l/∂y,  ∂l/∂x = ∂l/∂y Wᵀ

    x is (batch, n_in), W (n_in, units), b (units,), y (batch, units).

    Options:
        units: number of outputs, at least 1; if null, a model inserts the number of outputs of the network.
        init: initializer of W, a name or a mapping with name and options; b starts at 0.
        bias: whether b is added.

    Source: Rumelhart, Hinton, Williams 1986, "Learning representations by back-propagating errors".
    """

    def __init__(self, *, units: int | None = None, init: Spec = "glorot", bias: bool = True) -> None:
        if units is None:
            raise ValueError("units must be given; only a layer listed directly in a model may omit units")
        check_range("units", units, minimum=1)
        self.units, self.init, self.bias = units, init, bias

    def n_out(self, n_in: int) -> int:
        return self.units

    def parameters(self, n_in: int) -> dict[str, Parameter]:
        W = Parameter((n_in, self.units), self.init, n_in, self.units, decay=True)
        return {"W": W, "b": Parameter((self.units,))} if self.bias else {"W": W}

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        y = x @ p["W"] + p["b"] if self.bias else x @ p["W"]

        def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
            gradients = {"W": x.T @ dy, "b": dy.sum(0)} if self.bias else {"W": x.T @ dy}
            return dy @ p["W"].T, gradients

        return y, backward

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = (ctx.array(*x.shape[:-1], self.units) for _ in range(2))
        W, gW, bias = p["W"], g["W"], self.bias
        b, gb = (p["b"][..., None, :], g["b"]) if bias else (W, gW)
        xT, WT = x.swapaxes(-1, -2), W.swapaxes(-1, -2)
        rows = x.shape[-2]
        # np.dot and np.matmul compute the same product. A call of np.dot costs less, but np.dot clears its
        # result first. For a batch of one row, ∂l/∂W is an outer product, which np.matmul computes slowly.
        product = np.dot if x.ndim == 2 else np.matmul
        outer = np.dot if x.ndim == 2 and (rows == 1 or W.size < SMALL) else np.matmul
        rank_one = list(zip(xT, dy, gW, strict=True)) if x.ndim == 3 and rows == 1 else ()
        only_row = dy[..., 0, :] if bias and rows == 1 else None
        ones = np.ones(rows, x.dtype)

        def forward() -> None:
            product(x, W, y)
            if bias:
                np.add(y, b, y)

        def backward() -> None:
            if rank_one:
                for one_xT, one_dy, one_gW in rank_one:
                    np.dot(one_xT, one_dy, one_gW)
            else:
                outer(xT, dy, gW)
            if only_row is not None:
                gb[...] = only_row
            elif bias:
                np.matmul(ones, dy, gb)  # sums over the rows in half the time of a NumPy sum
            if dx is not None:
                product(dy, WT, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("Gemm", x, *([p["W"], p["b"]] if self.bias else [p["W"]]))
