"""What a schedule of the learning rate implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal


class Schedule(ABC):
    """The course of the learning rate: the rate at a step is ``lr * factor``.

    A reactive schedule names what it observes: the mean training loss of every ``window`` steps, or
    the validation loss of every epoch (the training loss where there is none). Its factor may change
    only in ``observe``, and it has state.
    """

    kind: ClassVar[str] = "schedule"
    name: ClassVar[str]
    observes: Literal["nothing", "window", "epoch"] = "nothing"
    window: int = 0

    @abstractmethod
    def factor(self, step: int, total_steps: int) -> float:
        """The factor for the update after ``step`` updates have been done, of ``total_steps``."""

    def factors(self, start: int, stop: int, total_steps: int) -> Sequence[float]:
        """``factor`` for the steps from ``start`` up to ``stop``."""
        return [self.factor(step, total_steps) for step in range(start, stop)]

    def observe(self, value: float) -> None:
        """Take note of an observed loss."""

    def state(self) -> dict[str, float]:
        """What a reactive schedule has to remember, as numbers."""
        return {}

    def restore(self, state: dict[str, float]) -> None:
        """Continue from what ``state()`` returned."""
