"""The layer ``standardize``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, Table, register

CHUNK_BYTES = 4 << 20
"""Bytes of inputs, in double precision, processed at a time; the inputs may be larger than memory."""
CONSTANT = 1e-12
"""A standard deviation below this share of the mean is rounding error."""


@register("standardize")
class Standardize(Layer):
    """Gives every feature mean 0 and standard deviation 1 over the training data.

    y = (x − μ) / s,  ∂l/∂x = ∂l/∂y / s

    μ and s are set once from the training inputs, before training, and do not change afterwards. They are
    saved with the network, so the network predicts from raw data. s is the standard deviation with the number
    of rows as the divisor; for a constant feature s is 1, and y is 0. Only the first layer of a network sees
    the training inputs: anywhere else μ = 0 and s = 1. x and y are (batch, features); μ and s, the state
    ``shift`` and ``scale``, are (features,).

    Source: LeCun, Bottou, Orr, Müller 1998, "Efficient BackProp".
    """

    def state(self, n_in: int) -> dict[str, Array]:
        return {"shift": np.zeros(n_in), "scale": np.ones(n_in)}

    def learn(self, x: Array, state: Mapping[str, Array]) -> None:
        origin = x[0].astype(np.float64)  # minus this, a constant feature is exactly 0
        mean, squares = np.zeros_like(origin), np.zeros_like(origin)
        rows, table = max(1, CHUNK_BYTES // origin.nbytes), Table(x, x)
        seen = 0
        for start in range(0, len(x), rows):
            chunk = x[start : start + rows] - origin
            new = len(chunk)
            chunk_mean = chunk.mean(0)
            chunk -= chunk_mean
            apart = chunk_mean - mean
            squares += np.einsum("ij,ij->j", chunk, chunk) + apart**2 * (seen * new / (seen + new))
            mean += apart * (new / (seen + new))
            seen += new
            table.release()
        shift, std = origin + mean, np.sqrt(squares / seen)
        least = np.maximum(CONSTANT * np.abs(shift), np.finfo(state["scale"].dtype).smallest_normal)
        state["shift"][...] = shift
        state["scale"][...] = np.where(std > least, std, 1)

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        mu, s = ctx.state["shift"], ctx.state["scale"]
        return (x - mu) / s, lambda dy: (dy / s, {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        shift, scale = (ctx.state[name][..., None, :] for name in ("shift", "scale"))

        def forward() -> None:
            np.subtract(x, shift, y)
            np.divide(y, scale, y)

        def backward() -> None:
            if dx is not None:
                np.divide(dy, scale, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("Div", graph.node("Sub", x, state["shift"]), state["scale"])
