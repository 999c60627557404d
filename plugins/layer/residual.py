"""The layer ``residual``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from mlpframe.api import (
    Array,
    Backward,
    Bound,
    Context,
    Graph,
    Layer,
    Parameter,
    UsageError,
    register,
    registries,
)


@register("residual")
class Residual(Layer):
    """The input plus the output of a few layers.

    y = x + F(x),  ∂l/∂x = ∂l/∂y + (∂F/∂x)ᵀ ∂l/∂y

    F applies the layers one after the other, and has as many outputs as inputs. The parameters and state of
    these layers are named by position and layer. For example, if F begins with a linear layer, the name of
    that layer's weights in a network is ``<i>.residual.0.linear.W``, where i is the position of
    the residual layer. All layers of F draw random numbers from one stream. x and y are (batch, features).

    Options:
        layers: the layers of F, at least one. Each is a name, or a mapping with a name and options. A linear
            layer needs the option units.

    Raises ``UsageError`` if F changes the number of features.

    Source: He, Zhang, Ren, Sun 2016, "Deep residual learning for image recognition".
    """

    examples = (
        {"layers": [{"name": "linear", "units": 7}, "tanh", {"name": "linear", "units": 4}]},
        {"layers": ["batch_norm", {"name": "residual", "layers": ["silu"]}]},
    )

    def __init__(self, *, layers: list[Any] = ["tanh"]) -> None:  # noqa: B006 - never changed
        if not layers:
            raise ValueError("layers must name at least one layer")
        self.layers: list[Layer] = [registries["layer"].create(spec) for spec in layers]

    def n_out(self, n_in: int) -> int:
        return [layer.n_out(width) for _, layer, width in self._inner(n_in)][-1]

    def parameters(self, n_in: int) -> dict[str, Parameter]:
        return {
            prefix + name: parameter
            for prefix, layer, width in self._inner(n_in)
            for name, parameter in layer.parameters(width).items()
        }

    def state(self, n_in: int) -> dict[str, Array]:
        return {
            prefix + name: array
            for prefix, layer, width in self._inner(n_in)
            for name, array in layer.state(width).items()
        }

    def _inner(self, n_in: int) -> Iterator[tuple[str, Layer, int]]:
        """The layers of F, each with the prefix of its parameters' names and its number of inputs."""
        width = n_in
        for i, layer in enumerate(self.layers):
            yield f"{i}.{layer.name}.", layer, width
            width = layer.n_out(width)
        if width != n_in:
            names = ", ".join(layer.name for layer in self.layers)
            raise UsageError(
                f"the layers inside a residual layer must keep the number of features: "
                f"{names} turn {n_in} features into {width}"
            )

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        y, backwards = x, []
        for prefix, layer, _ in self._inner(x.shape[-1]):
            y, back = layer.textbook(y, _under(prefix, p), ctx.within(prefix))
            backwards.append((prefix, back))

        def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
            d, gradients = dy, dict[str, Array]()
            for prefix, back in reversed(backwards):
                d, inner = back(d)
                gradients |= {prefix + name: gradient for name, gradient in inner.items()}
            return dy + d, gradients

        return x + y, backward

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        d_inner = None if dx is None else ctx.array(*x.shape)
        output, d_output = x, d_inner
        forwards: list[Callable[[], object]] = []
        backwards: list[Callable[[], object]] = []
        for prefix, layer, _ in self._inner(x.shape[-1]):
            output, d_output, run, run_back = layer.bind(
                output, d_output, _under(prefix, p), _under(prefix, g), ctx.within(prefix)
            )
            forwards.append(run)
            backwards.insert(0, run_back)
        inner, d_last = output, d_output
        assert d_last is not None

        def forward() -> None:
            for run in forwards:
                run()
            np.add(x, inner, y)

        def backward() -> None:
            np.copyto(d_last, dy)
            for run in backwards:
                run()
            if dx is not None and d_inner is not None:
                np.add(dy, d_inner, dx)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        y = x
        for prefix, layer, width in self._inner(n_in):
            y = layer.onnx(graph, y, width, _under(prefix, p), _under(prefix, state))
        return graph.node("Add", x, y)


def _under(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
