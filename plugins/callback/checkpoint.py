"""The callback ``checkpoint``."""

from __future__ import annotations

import time
from typing import Any

from mlpframe.api import Callback, Run, check_range, register


@register("checkpoint")
class Checkpoint(Callback):
    """Saves the run's whole state: the last state, to continue from, and the best state on validation.

    ``checkpoints/last.npz`` is written after every epoch and during long epochs. ``checkpoints/best.npz`` is
    written when the monitored metric has improved. A file is replaced as a whole, so a crash leaves the old
    file intact.

    Options:
        monitor: the metric that decides which state is best; in a run without this metric no best state is
            saved.
        mode: "min" if less is better, "max" if more is.
        every_seconds: seconds between two saves of the last state within an epoch, about, more than 0.
    """

    def __init__(self, *, monitor: str = "val/loss", mode: str = "min", every_seconds: float = 60.0) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be min or max, not {mode!r}")
        check_range("every_seconds", every_seconds, above=0)
        self.monitor, self.every_seconds = monitor, every_seconds
        self._sign = 1 if mode == "min" else -1
        self._best: float | None = None
        self._saved = 0.0

    def on_start(self, run: Run) -> None:
        self._saved = time.monotonic()

    def on_window(self, run: Run) -> None:
        if time.monotonic() - self._saved > self.every_seconds:
            self._save(run, "last")

    def on_epoch(self, run: Run) -> None:
        value = run.latest.get(self.monitor)
        if value is not None and (self._best is None or self._sign * value < self._sign * self._best):
            self._best = value
            self._save(run, "best")
        self._save(run, "last")

    def _save(self, run: Run, name: str) -> None:
        run.save(name)
        self._saved = time.monotonic()

    def state(self) -> dict[str, Any]:
        return {"best": self._best}

    def restore(self, state: dict[str, Any]) -> None:
        self._best = state["best"]
