"""What a metric implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from .component import Array, Task


class Metric(ABC):
    """A figure of merit of predictions."""

    kind: ClassVar[str] = "metric"
    name: ClassVar[str]
    tasks: ClassVar[tuple[Task, ...]]
    scalar: ClassVar[bool] = True
    """Whether the result is a number, computed after every epoch, or an array, computed at the end."""
    columns: ClassVar[tuple[str, ...]] = ()
    """What the columns of an array are where they are not the classes; its rows are."""

    @abstractmethod
    def compute(self, prediction: Array, target: Array) -> Any:
        """From ``Loss.predict``'s ``(n, n_outputs)`` and the targets, a float or an array."""
