"""What a layer implements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from ..registry import UsageError
from .component import Array, Spec, TwoForms, returned
from .graph import Graph


@dataclass(frozen=True)
class Parameter:
    """A trained array of a layer.

    Args:
        shape: the array's shape.
        init: the initializer that fills the array: a name, or a mapping with ``name`` and options.
        fan_in, fan_out: numbers of inputs and outputs of the units that use the array. Initializers such as
            glorot choose the size of the weights by these numbers.
        decay: whether weight decay applies (to weights, not to biases).
    """

    shape: tuple[int, ...]
    init: Spec = "zeros"
    fan_in: int = 1
    fan_out: int = 1
    decay: bool = False


class Bound(NamedTuple):
    """A layer bound to its arrays: output ``y``, ∂loss/∂y ``dy``, and the functions of the two passes.

    ``y`` and ``dy`` are contiguous and do not overlap.
    """

    y: Array
    dy: Array
    forward: Callable[[], object]
    backward: Callable[[], object]


Backward = Callable[[Array], tuple[Array, Mapping[str, Array]]]
"""Maps ∂loss/∂y to ∂loss/∂x and the gradients of the parameters, by name."""


class Context(Protocol):
    """Services for a layer or a loss during ``bind``. The object is reused afterwards, so do not keep it."""

    training: bool
    """Whether the plan trains (dropout drops, batch statistics are used) or evaluates."""
    state: Mapping[str, Array]
    """The layer's arrays that are saved with the model but not trained, such as running means, by name."""
    weights: Array | None
    """The weight of every row in the loss, ``(…, batch)``, with a mean of 1; ``None``: all are 1."""

    @property
    def rng(self) -> np.random.Generator:
        """The layer's own random stream."""

    def array(self, *shape: int) -> Array:
        """A working array of the run's dtype, for values that are needed only within one step.

        The array is contiguous, and its first values are undefined. The network's plans for other batch sizes
        use the same memory, so values that are written during ``bind`` are lost. A layer keeps its constants
        in arrays of its own.
        """

    def within(self, prefix: str) -> Context:
        """The context that an outer layer passes to the ``bind`` of a layer inside it.

        The inner layer's state are the arrays of this context's ``state`` whose names begin with ``prefix``.
        """

    def single(self, index: tuple[int, ...]) -> Context:
        """The context of one of the stacked networks, with this network's state and random stream.

        The index is ``()`` if networks are not stacked. The result is not reused, so you may keep it.
        """


class Layer(TwoForms):
    """A function of a batch, with parameters: the forward pass and the backward pass side by side.

    ``textbook`` is the layer as a textbook writes it; ``bind`` computes the same faster. A layer needs only
    one of the two.
    """

    kind: ClassVar[str] = "layer"
    fast: ClassVar[tuple[str, ...]] = ("bind",)
    in_graph: ClassVar[tuple[str, ...]] = ("textbook", "bind")
    name: ClassVar[str]

    def n_out(self, n_in: int) -> int:
        """The number of output features for ``n_in`` input features."""
        return n_in

    def parameters(self, n_in: int) -> dict[str, Parameter]:
        """The trained arrays by name."""
        return {}

    def state(self, n_in: int) -> dict[str, Array]:
        """The arrays that are saved with the model but not trained, by name, with their first values."""
        return {}

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        """The forward pass of one network, and the matching backward pass.

        Args:
            x: the input, ``(batch, n_in)``. Do not change ``x``, ``p`` or the argument of ``backward``.
            p: the parameters by name.
            ctx: ``ctx.training`` says whether the network trains, ``ctx.rng`` is the random stream. Change
                the arrays of ``ctx.state`` in place.

        Returns:
            y, ``(batch, n_out)``, and the function ``backward``, which maps ∂loss/∂y to ∂loss/∂x and a
            dictionary with the gradient of every parameter.
        """
        raise NotImplementedError(f"the layer {self.name!r} has no textbook form: define the method textbook")

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        """Bind the layer to its arrays once. Every step then calls ``forward()`` and ``backward()``.

        ``x`` and ``dx`` are contiguous and do not overlap. Parameters and gradients of one network are
        contiguous too. Parameters and gradients of stacked networks lie apart in memory, so do not merge the
        stack's axis with another axis by a reshape.

        Write ``bind`` over the last two axes, ``(…, batch, features)``, so that it also works for stacked
        networks. If a layer does not define ``bind``, this default calls the textbook form for each network.

        Args:
            x: the input, ``(…, batch, n_in)``; do not change it.
            dx: the array into which ``backward`` writes ∂loss/∂x; ``None`` if ∂loss/∂x is not needed.
            p, g: parameters and gradients by name; ``backward`` overwrites the gradients.
            ctx: provides working arrays, the random stream and the state, and says whether the network
                trains.
        """
        width = self.n_out(x.shape[-1])
        y, dy = ctx.array(*x.shape[:-1], width), ctx.array(*x.shape[:-1], width)
        networks = list(np.ndindex(x.shape[:-2]))  # a network that is not stacked has the single index ()
        parameters = [{name: array[*i, ...] for name, array in p.items()} for i in networks]
        contexts = [ctx.single(i) for i in networks]
        backwards: list[Backward] = []

        def forward() -> None:
            backwards.clear()
            for i, own_p, own_ctx in zip(networks, parameters, contexts, strict=True):
                result = self.textbook(x[i], own_p, own_ctx)
                y[i], run_back = returned(self.name, "textbook", result, ("y", "the function backward"))
                backwards.append(run_back)

        def backward() -> None:
            for i, run_back in zip(networks, backwards, strict=True):
                expected = ("∂loss/∂x", "the gradients by name")
                d_input, gradients = returned(self.name, "backward", run_back(dy[i]), expected)
                for name, gradient in g.items():
                    own_gradient = gradient[*i, ...]
                    if np.shape(gradients.get(name)) != own_gradient.shape:
                        raise UsageError(
                            f"backward of {self.name!r} must return a gradient of shape {own_gradient.shape} "
                            f"for {name!r}; it returns {', '.join(gradients) or 'no gradients'}"
                        )
                    own_gradient[...] = gradients[name]
                if dx is not None:
                    dx[i] = d_input

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        """Add the nodes of the forward pass in evaluation mode, and return the name of the output.

        Without this method, a network with the layer cannot be exported to ONNX.

        Args:
            graph: ``graph.node("MatMul", x, p["W"])`` adds a node and returns the name of its output.
            x: the name of the input, ``(batch, n_in)``.
            n_in: the number of input features.
            p, state: parameters and state of the trained layer by name.

        Raises:
            UsageError: the layer, or a layer in it, does not have this method.
        """
        raise UsageError(
            f"layer {self.name!r} cannot be exported to ONNX: its class must define the method onnx"
        )
