"""What an engine implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from .component import Array
from .dataset import Table
from .layer import Context, Layer
from .loss import Loss, Means
from .optimizer import Optimizer, UpdateRules

Recurrence = tuple[NDArray[np.float64], NDArray[np.float64]]
"""A and B of z ← A z + B g, where z holds a weight and its optimizer state."""


@dataclass(frozen=True)
class Block:
    """Consecutive batches: the rows of ``table`` to train on, ``batch_size`` at a time, and their rates."""

    table: Table
    rows: NDArray[np.intp]
    batch_size: int
    lrs: Sequence[float]


@dataclass
class Losses:
    """What a block of batches came to: the loss of each, and how many rows were classified rightly."""

    values: list[float] = field(default_factory=list)
    correct: int = 0


def split_losses(values: Sequence[Means], correct: Any, replicas: int) -> list[Losses]:
    """What every step came to, as one ``Losses`` for each replica."""
    counts = np.broadcast_to(correct, (replicas,)).tolist()
    columns = zip(*values, strict=True) if isinstance(values[0], list) else [values]
    return [Losses(list(column), count) for column, count in zip(columns, counts, strict=True)]


def rates(blocks: Sequence[Block], dtype: np.dtype[Any]) -> list[Any]:
    """The rate of every step: a number, or where the replicas' differ a column with one for each."""
    if all(block.lrs == blocks[0].lrs for block in blocks[1:]):
        return list(blocks[0].lrs)
    return [np.array(lrs, dtype)[:, None] for lrs in zip(*(block.lrs for block in blocks), strict=True)]


class EnginePlan(Protocol):
    """A network bound to the arrays of one batch."""

    def fill(self, table: Table, rows: Array, lane: int | None = None) -> None:
        """Copy rows of a table into the batch; ``lane`` numbers the network where networks are stacked."""

    def step(self) -> Means:
        """Run forward and backward; write the gradient into ``network.g`` and return the mean loss."""

    def correct(self) -> Any:
        """How many rows of the batch were classified rightly; an array with one count for each replica."""


class EngineNetwork(Protocol):
    """The network that an engine trains.

    Where R networks are stacked, ``w`` and ``g`` are ``(R, parameters)`` and every array of a batch has an
    axis of length R in front.

    Attributes:
        layers, loss: the components, first layer to last.
        n_in: number of input features.
        widths: ``n_in``, then the number of outputs of each layer.
        dtype: float32 or float64, of parameters and arithmetic.
        w, g: all parameters and all gradients, ``(parameters,)``; to be changed in place.
        classifies: whether the targets are classes, so that correct rows are counted.
        weighted: whether rows have weights in the loss.
        target_shape, target_dtype: of the target of one row in training.
    """

    layers: tuple[Layer, ...]
    loss: Loss
    n_in: int
    widths: list[int]
    dtype: np.dtype[Any]
    w: Array
    g: Array
    classifies: bool
    weighted: bool
    target_shape: tuple[int, ...]
    target_dtype: np.dtype[Any]

    def plan(self, batch: int, *, training: bool) -> EnginePlan:
        """The plan for a batch size and mode, made when it is first asked for."""

    def prefix(self, i: int) -> str:
        """How the names of the arrays of layer ``i`` begin, for example ``0.linear.``."""

    def views(self, vector: Array) -> dict[str, Array]:
        """The views of all parameters into a vector of the layout of ``w``, by name, in order."""

    def with_layers(self, layers: Iterable[Layer]) -> EngineNetwork:
        """The same parameters and state, run by other layers of the same names and shapes."""

    def context(self, *, training: bool) -> Context:
        """A context for ``bind``, whose arrays share memory with all other plans of this network."""

    def bind(self, x: Array, dx: Array | None, target: Array, ctx: Any, first: int = 0) -> EnginePlan:
        """Bind the layers from number ``first`` on, and the loss.

        Args:
            x, dx: input of the first of these layers, and where ∂loss/∂x goes (``None``: nowhere).
            target: where the targets will be.
            ctx: what ``context`` has returned.
        """


class EngineUpdater(Protocol):
    """The optimizer at work on the parameters of a network: what updates the weights of an ``EngineNetwork``.

    Attributes:
        optimizer: the component; its scope ``"search"`` asks for ``search`` in place of ``update``.
        rules: weight decay, clipping, and rates of single parameters.
        step: number of updates done; an engine that updates the weights itself counts them here.
        slots: the optimizer's state vectors by name, each of the layout of ``w``.
    """

    optimizer: Optimizer
    rules: UpdateRules
    step: int
    slots: dict[str, Array]

    @property
    def update(self) -> Callable[[Any], None]:
        """Called with the learning rate: updates the weights by the gradient in ``network.g``."""

    def tail(self, first: int) -> Callable[[Any], None]:
        """Like ``update``, but only for the parameters from number ``first`` on."""

    def search(self, lr: float, evaluate: Callable[[], Any]) -> float:
        """One update by an optimizer that evaluates the loss itself; the loss after it.

        Args:
            lr: the learning rate.
            evaluate: writes the gradient at the present weights and returns the mean loss.
        """

    def recurrence(self, lr: float, *, decay: bool) -> Recurrence | None:
        """The next update of any parameter as a linear recurrence of the weight and its slots.

        Args:
            lr: the learning rate.
            decay: whether weight decay applies to the parameter.

        ``None`` if the update is not linear in the gradients, or not the same for all parameters.
        """


class Engine(ABC):
    """How a block of batches is run.

    ``engine=auto`` asks the registered engines from the highest ``priority`` down, those of equal priority in
    the order of their names, and takes the first that suits and does not refuse.
    """

    kind: ClassVar[str] = "engine"
    name: ClassVar[str]
    priority: ClassVar[int] = 10
    """The built-in engines have: ``scalar`` 40, ``online`` 30, ``fused`` 20, ``numpy`` 0."""

    @abstractmethod
    def refuses(self, network: EngineNetwork, updater: EngineUpdater) -> str | None:
        """Why this engine cannot take the exact steps here, in words; ``None`` if it can."""

    def suits(self, network: EngineNetwork, batch_size: int) -> bool:
        """Whether ``engine=auto`` may take this engine: it is fast for such a network and batch."""
        return False

    @abstractmethod
    def bind(self, network: EngineNetwork, updater: EngineUpdater) -> None:
        """Work on this network and optimizer from now on."""

    @abstractmethod
    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        """Train on the batches of a block, in order: one block for each replica, all of one length."""
