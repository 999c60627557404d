"""What a schedule of the learning rate implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal


class Schedule(ABC):
    """The course of the learning rate: the learning rate at a step is ``lr * factor``.

    A reactive schedule states in ``observes`` which loss it observes: the mean training loss of every
    ``window`` steps, or the validation loss of every epoch (the training loss if there is no validation
    part). Such a schedule has state, and may change its factor only in ``observe``.
    """

    kind: ClassVar[str] = "schedule"
    name: ClassVar[str]
    observes: Literal["nothing", "window", "epoch"] = "nothing"
    window: int = 0

    @abstractmethod
    def factor(self, step: int, total_steps: int) -> float:
        """The factor for the next update, when ``step`` of the run's ``total_steps`` updates are done."""

    def factors(self, start: int, stop: int, total_steps: int) -> Sequence[float]:
        """``factor`` for the steps from ``start`` up to ``stop``."""
        return [self.factor(step, total_steps) for step in range(start, stop)]

    def observe(self, value: float) -> None:
        """Receive the loss that the schedule observes (see ``observes``), and change the factor."""

    def state(self) -> dict[str, float]:
        """The state of a reactive schedule, as numbers."""
        return {}

    def restore(self, state: dict[str, float]) -> None:
        """Continue from what ``state()`` returned."""
