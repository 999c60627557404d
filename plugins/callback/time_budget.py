"""The callback ``time_budget``."""

from __future__ import annotations

import time
from typing import Any

from mlpframe.api import Callback, Run, check_range, register


@register("time_budget")
class TimeBudget(Callback):
    """Stops the run when its time is used up.

    The run ends after the first epoch at whose end ``seconds`` seconds or more have passed.

    An epoch that has begun is finished, so that every result belongs to whole epochs. The time is wall-clock
    time from the first step on, including validation and other callbacks. A continued run gets the time that
    is left.

    Options:
        seconds: the time, more than 0.
    """

    def __init__(self, *, seconds: float = 60.0) -> None:
        check_range("seconds", seconds, above=0)
        self.seconds = seconds
        self._before = 0.0
        self._started: float | None = None

    def on_start(self, run: Run) -> None:
        self._judge(run)  # a continued run may have used up all its time
        self._started = time.monotonic()

    def on_epoch(self, run: Run) -> None:
        self._judge(run)

    def on_end(self, run: Run) -> None:
        self._before, self._started = self._used(), None

    def _used(self) -> float:
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)

    def _judge(self, run: Run) -> None:
        if self._used() >= self.seconds:
            run.stop(f"the time budget of {self.seconds:g} seconds is used up")

    def state(self) -> dict[str, Any]:
        return {"seconds": self._used()}

    def restore(self, state: dict[str, Any]) -> None:
        self._before = state["seconds"]
