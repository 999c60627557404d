"""What a layer implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from .component import Array, Spec


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


class Layer(ABC):
    """A function of a batch, with parameters; both halves of its mathematics side by side.

    Written over the last two axes, ``(…, batch, features)``.
    """

    kind: ClassVar[str] = "layer"
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

    @abstractmethod
    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        """Bind the layer to its arrays, once; a step then calls ``forward()`` and ``backward()``.

        Args:
            x: the input, ``(…, batch, n_in)``; not to be changed.
            dx: where ``backward`` writes ∂loss/∂x; ``None`` if nobody needs it.
            p, g: parameters and their gradients (to be overwritten), by name.
            ctx: hands out arrays, the random stream, state and mode.
        """
