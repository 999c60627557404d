"""What an engine implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .dataset import Table
from .loss import Means


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


class Engine(ABC):
    """How a block of batches is run."""

    kind: ClassVar[str] = "engine"
    name: ClassVar[str]

    @abstractmethod
    def refuses(self, network: Any, updater: Any) -> str | None:
        """Why this engine is not exact for the network and optimizer; ``None`` if it is."""

    def suits(self, network: Any, batch_size: int) -> bool:
        """Whether ``engine=auto`` may take it: it is known to be the fastest for such a network and batch."""
        return True

    @abstractmethod
    def bind(self, network: Any, updater: Any) -> None:
        """Work on this network and optimizer from now on."""

    @abstractmethod
    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        """Train on the batches of a block, in order: one block for each replica, all of one length."""
