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
"""A and B of the update z ← A z + B g: z holds a weight and its optimizer state, and g is the gradient."""


@dataclass(frozen=True)
class Block:
    """Consecutive batches: rows of ``table``, ``batch_size`` at a time, with one learning rate per batch.

    ``own_rates`` says that the runs of a stack have learning rates of their own, also while these are equal.
    """

    table: Table
    rows: NDArray[np.intp]
    batch_size: int
    lrs: Sequence[float]
    own_rates: bool = False


@dataclass
class Losses:
    """The results of a block: the loss of every batch, and the number of correctly classified rows."""

    values: list[float] = field(default_factory=list)
    correct: int = 0


def split_losses(values: Sequence[Means], correct: Any, replicas: int) -> list[Losses]:
    """Split the results of all steps into one ``Losses`` for each replica."""
    counts = np.broadcast_to(correct, (replicas,)).tolist()
    columns = zip(*values, strict=True) if isinstance(values[0], list) else [values]
    return [Losses(list(column), count) for column, count in zip(columns, counts, strict=True)]


def rates(blocks: Sequence[Block], dtype: np.dtype[Any]) -> list[Any]:
    """The learning rate of every step: a number, or a column of R rates if the R replicas' rates may differ.

    An update with a column is rounded differently from an update with a number. So runs with rates of their
    own always get a column.
    """
    if not blocks[0].own_rates and all(block.lrs == blocks[0].lrs for block in blocks[1:]):
        return list(blocks[0].lrs)
    return [np.array(lrs, dtype)[:, None] for lrs in zip(*(block.lrs for block in blocks), strict=True)]


class EnginePlan(Protocol):
    """A network bound to arrays for one batch size: every step fills and uses the same arrays."""

    def fill(self, table: Table, rows: Array, lane: int | None = None) -> None:
        """Copy rows of a table into the batch. If networks are stacked, ``lane`` is the network's number."""

    def step(self) -> Means:
        """Run forward and backward; write the gradient into ``network.g`` and return the mean loss."""

    def correct(self) -> Any:
        """The number of rows whose class is predicted correctly.

        If networks are stacked, an array with one number for each network.
        """


class EngineNetwork(Protocol):
    """The network that an engine trains.

    If R networks are stacked, ``w`` and ``g`` are ``(R, parameters)``, and every array of a batch has an
    additional first axis of length R.

    Attributes:
        layers, loss: the components, first layer to last.
        n_in: number of input features.
        widths: ``n_in``, then the number of outputs of each layer.
        dtype: float32 or float64, of parameters and arithmetic.
        w, g: all parameters and all gradients, ``(parameters,)``; change these arrays only in place.
        classifies: whether the targets are classes, so that correct rows are counted.
        weighted: whether rows have weights in the loss.
        target_shape, target_dtype: shape and dtype of the target of one row in training.
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
        """The plan for this batch size, in training or evaluation mode; created on first use."""

    def prefix(self, i: int) -> str:
        """How the names of the arrays of layer ``i`` begin, for example ``0.linear.``."""

    def views(self, vector: Array) -> dict[str, Array]:
        """Views of all parameters into a vector with the layout of ``w``, by name, in order."""

    def with_layers(self, layers: Iterable[Layer]) -> EngineNetwork:
        """A network with the same parameters and state, but other layers of the same names and shapes."""

    def context(self, *, training: bool) -> Context:
        """A context to pass to ``bind``. All plans of the network use the same memory for working arrays."""

    def bind(self, x: Array, dx: Array | None, target: Array, ctx: Any, first: int = 0) -> EnginePlan:
        """Bind the layers from number ``first`` on, and the loss.

        Args:
            x: the input of layer number ``first``.
            dx: the array into which ∂loss/∂x is written; ``None``: ∂loss/∂x is not computed.
            target: the array that will hold the targets.
            ctx: what ``context`` returned.
        """


class EngineUpdater(Protocol):
    """Applies the optimizer to the parameters of an ``EngineNetwork``.

    Attributes:
        optimizer: the optimizer. If its scope is ``"search"``, call ``search`` instead of ``update``.
        rules: weight decay, clipping, and learning rates of single parameters.
        step: number of updates done. An engine that updates the weights itself adds its updates here.
        slots: the optimizer's state vectors by name, each with the layout of ``w``.
    """

    optimizer: Optimizer
    rules: UpdateRules
    step: int
    slots: dict[str, Array]

    @property
    def update(self) -> Callable[[Any], None]:
        """``update(lr)`` updates the weights with the gradient in ``network.g`` and the learning rate lr."""

    def tail(self, first: int) -> Callable[[Any], None]:
        """Like ``update``, but only for the parameters from number ``first`` on."""

    def search(self, lr: float, evaluate: Callable[[], Any]) -> float:
        """Run one update of an optimizer that evaluates the loss itself, and return the new loss.

        Args:
            lr: the learning rate.
            evaluate: writes the gradient at the current weights and returns the mean loss.
        """

    def recurrence(self, lr: float, *, decay: bool) -> Recurrence | None:
        """The next update of any parameter as a linear recurrence of the weight and its slots.

        Args:
            lr: the learning rate.
            decay: whether weight decay applies to the parameter.

        Returns ``None`` if the update is not linear in the gradients, or not the same for all parameters.
        """


class Engine(ABC):
    """Runs the training steps of a block of batches.

    ``engine=auto`` asks the registered engines in order of decreasing ``priority``, and engines of equal
    priority in the order of their names. The first engine whose ``suits`` is true and that does not refuse
    is taken.
    """

    kind: ClassVar[str] = "engine"
    name: ClassVar[str]
    priority: ClassVar[int] = 10
    """The priorities of the built-in engines: ``scalar`` 40, ``online`` 30, ``fused`` 20, ``numpy`` 0."""

    @abstractmethod
    def refuses(self, network: EngineNetwork, updater: EngineUpdater) -> str | None:
        """The reason why this engine cannot compute the exact steps, in words; ``None`` if the engine can."""

    def suits(self, network: EngineNetwork, batch_size: int) -> bool:
        """Whether this engine is fast for this network and batch size; if so, ``engine=auto`` may take it."""
        return False

    @abstractmethod
    def bind(self, network: EngineNetwork, updater: EngineUpdater) -> None:
        """Set the network and the optimizer that ``advance`` will use."""

    @abstractmethod
    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        """Train on the batches in order. There is one block per replica, and all have the same length."""
