"""The layer ``maxout``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mlpframe.api import (
    Array,
    Backward,
    Bound,
    Context,
    Graph,
    Layer,
    Parameter,
    Spec,
    check_range,
    register,
    registries,
)


@register("maxout")
class Maxout(Layer):
    """The largest of several affine maps of the features, unit by unit.

    y_j = max_k z_kj,  z = x W + b,  ∂l/∂z_kj = ∂l/∂y_j for the first k whose z_kj is the largest, else 0;
    ∂l/∂W, ∂l/∂b and ∂l/∂x follow from ∂l/∂z as in the layer linear

    The layer has its own weights, so no linear layer is needed before it. x is (batch, n_in), W (n_in,
    pieces · units), b (pieces · units,), y (batch, units); column k · units + j of W is piece k of unit j.
    The fan-out of W is the number of units, since only one piece of a unit passes a gradient on. Where
    several z_kj are the largest, only the first gets the gradient, so that the pieces become different.

    Options:
        units: number of outputs, at least 1; if null, a model inserts the number of outputs of the network.
        pieces: affine maps per unit, at least 2.
        init: initializer of W, a name or a mapping with name and options; b starts at 0.
        bias: whether b is added.

    Source: Goodfellow, Warde-Farley, Mirza, Courville, Bengio 2013, "Maxout networks".
    """

    examples = ({"pieces": 3, "bias": False},)

    def __init__(
        self, *, units: int | None = None, pieces: int = 2, init: Spec = "glorot", bias: bool = True
    ) -> None:
        if units is None:
            raise ValueError("units must be given; only a layer listed directly in a model may omit units")
        check_range("units", units, minimum=1)
        check_range("pieces", pieces, minimum=2)
        self.units, self.pieces = units, pieces
        self._linear: Layer = registries["layer"].create("linear", units=pieces * units, init=init, bias=bias)

    def n_out(self, n_in: int) -> int:
        return self.units

    def parameters(self, n_in: int) -> dict[str, Parameter]:
        linear_parameters = self._linear.parameters(n_in)
        return {
            name: replace(parameter, fan_out=self.units) if name == "W" else parameter
            for name, parameter in linear_parameters.items()
        }

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        z, linear_backward = self._linear.textbook(x, p, ctx)
        z = z.reshape(-1, self.pieces, self.units)
        k = np.arange(self.pieces)[:, None]
        largest = k == z.argmax(1, keepdims=True)  # argmax takes the first of equal pieces

        def backward(dy: Array) -> tuple[Array, Mapping[str, Array]]:
            dz = largest * dy[:, None, :]
            return linear_backward(dz.reshape(len(x), -1))

        return z.max(1), backward

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        z, dz, affine, gradients = self._linear.bind(x, dx, p, g, ctx)
        y, dy = (ctx.array(*x.shape[:-1], self.units) for _ in range(2))
        shape = (*x.shape[:-1], self.pieces, self.units)
        pieces, d_pieces = z.reshape(shape), dz.reshape(shape)
        pairs = [(pieces[..., k, :], d_pieces[..., k, :]) for k in range(self.pieces - 1)]
        d_last = d_pieces[..., -1, :]

        def forward() -> None:
            affine()
            np.maximum.reduce(pieces, -2, out=y)

        def backward() -> None:
            np.copyto(d_last, dy)
            for piece, d_piece in pairs:
                np.equal(piece, y, d_piece)  # 1 where this piece is the largest, else 0
                np.multiply(d_piece, d_last, d_piece)
                np.subtract(d_last, d_piece, d_last)
            gradients()

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        z = self._linear.onnx(graph, x, n_in, p, state)
        pieces = graph.node("Reshape", z, np.array([-1, self.pieces, self.units]))
        return graph.node("ReduceMax", pieces, np.array([1]), keepdims=0)
