"""What a layer implements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from .component import Array, Spec, TwoForms


@dataclass(frozen=True)
class Parameter:
    """A trained array of a layer.

    Args:
        shape: its shape.
        init: the initializer that fills it, a name or a mapping with ``name`` and options.
        fan_in, fan_out: inputs and outputs of the units that it feeds, for scaled initializers.
        decay: whether weight decay applies (to weights, not to biases).
    """

    shape: tuple[int, ...]
    init: Spec = "zeros"
    fan_in: int = 1
    fan_out: int = 1
    decay: bool = False


class Bound(NamedTuple):
    """A layer bound to its arrays: output ``y``, ∂loss/∂y ``dy``, and the two halves of a step.

    ``y`` and ``dy`` are contiguous and do not overlap.
    """

    y: Array
    dy: Array
    forward: Callable[[], object]
    backward: Callable[[], object]


Backward = Callable[[Array], tuple[Array, Mapping[str, Array]]]
"""From ∂loss/∂y to ∂loss/∂x and the gradients of the parameters, by name."""


class Context(Protocol):
    """What a layer or a loss may ask for while it is bound; later it is that of another one."""

    training: bool
    """Whether the plan trains (dropout drops, batch statistics are used) or evaluates."""
    state: Mapping[str, Array]
    """The layer's arrays that are kept but not trained, by name."""
    weights: Array | None
    """The weight of every row in the loss, ``(…, batch)``, with a mean of 1; ``None``: all are 1."""

    @property
    def rng(self) -> np.random.Generator:
        """The layer's own random stream."""

    def array(self, *shape: int) -> Array:
        """An array of the run's dtype, for what lives within a step.

        It is contiguous, what it holds at first is undefined, and other plans use the same memory: what
        is written while binding does not survive, so constants are arrays of the layer's own.
        """

    def within(self, prefix: str) -> Context:
        """The context of a layer inside this one, whose state's names begin with ``prefix``."""

    def single(self, index: tuple[int, ...]) -> Context:
        """The context of one of the stacked networks: its state and its random stream.

        The index is ``()`` where networks are not stacked. The result stays as it is, and may be kept.
        """


class Layer(TwoForms):
    """A function of a batch, with parameters; both halves of its mathematics side by side.

    ``textbook`` is the layer as a textbook writes it, ``bind`` the same for speed. One of them is enough.
    """

    kind: ClassVar[str] = "layer"
    fast: ClassVar[tuple[str, ...]] = ("bind",)
    name: ClassVar[str]

    def n_out(self, n_in: int) -> int:
        """The number of output features for ``n_in`` input features."""
        return n_in

    def parameters(self, n_in: int) -> dict[str, Parameter]:
        """The trained arrays by name."""
        return {}

    def state(self, n_in: int) -> dict[str, Array]:
        """The arrays that are kept but not trained, by name, with their first values."""
        return {}

    def learn(self, x: Array, state: Mapping[str, Array]) -> None:
        """Set ``state`` from the training inputs ``(n, n_in)``, before training; for the first layer only."""

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        """The forward pass, and the backward pass that belongs to it, of one network.

        Args:
            x: the input, ``(batch, n_in)``; not to be changed, as ``p`` and ``dy``.
            p: the parameters by name.
            ctx: ``ctx.training`` is the mode, ``ctx.rng`` the random stream. Arrays of ``ctx.state`` are
                changed in place.

        Returns:
            y, ``(batch, n_out)``, and ``backward``: from ∂loss/∂y, it returns ∂loss/∂x and a dictionary with
            the gradient of every parameter.
        """
        raise NotImplementedError(f"the layer {self.name!r} has no textbook form")

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        """Bind the layer to its arrays, once; a step then calls ``forward()`` and ``backward()``.

        ``x`` and ``dx`` are contiguous and do not overlap. Parameters and gradients of one network are
        contiguous too. Those of stacked networks lie apart in memory, so only axes after the stack's may be
        reshaped into one.

        Written over the last two axes, ``(…, batch, features)``, so that it serves stacked networks too.
        Where a layer has no ``bind`` of its own, this one calls its textbook form for each network.

        Args:
            x: the input, ``(…, batch, n_in)``; not to be changed.
            dx: where ``backward`` writes ∂loss/∂x; ``None`` if nobody needs it.
            p, g: parameters and their gradients (to be overwritten), by name.
            ctx: hands out arrays, the random stream, state and mode.
        """
        width = self.n_out(x.shape[-1])
        y, dy = ctx.array(*x.shape[:-1], width), ctx.array(*x.shape[:-1], width)
        networks = list(np.ndindex(x.shape[:-2]))  # one, (), where they are not stacked
        parameters = [{name: array[*i, ...] for name, array in p.items()} for i in networks]
        contexts = [ctx.single(i) for i in networks]
        backwards: list[Backward] = []

        def forward() -> None:
            backwards.clear()
            for i, own_p, own_ctx in zip(networks, parameters, contexts, strict=True):
                y[i], run_back = self.textbook(x[i], own_p, own_ctx)
                backwards.append(run_back)

        def backward() -> None:
            for i, run_back in zip(networks, backwards, strict=True):
                d_input, gradients = run_back(dy[i])
                for name, gradient in g.items():
                    gradient[*i, ...] = gradients[name]
                if dx is not None:
                    dx[i] = d_input

        return Bound(y, dy, forward, backward)
