"""The callback ``keep_best``."""

from __future__ import annotations

from typing import Any

from mlpframe.api import Callback, Run, check_range, register

NAME = "kept"


@register("keep_best")
class KeepBest(Callback):
    """Ends the run with the weights of the best epoch instead of those of the last epoch.

    Test metrics, figures and the saved model are then those of the best epoch. In a run without the monitored
    metric, for example without a validation part, the last weights are kept. Until the end of the run, the
    weights of the best epoch are in ``checkpoints/kept.npz``.

    Options:
        monitor: the metric that decides which epoch is best.
        mode: "min" if less is better, "max" if more is.
        min_rows: the smallest number of validation rows, at least 1. With fewer rows the last weights are
            kept, because the metric on few rows is mostly chance.

    Source: Prechelt 1998, "Early stopping - but when?".
    """

    def __init__(self, *, monitor: str = "val/loss", mode: str = "min", min_rows: int = 1) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be min or max, not {mode!r}")
        check_range("min_rows", min_rows, minimum=1)
        self.monitor, self.min_rows = monitor, min_rows
        self._sign = 1 if mode == "min" else -1
        self._best: float | None = None

    def on_epoch(self, run: Run) -> None:
        if run.validation is not None and len(run.validation) < self.min_rows:
            return
        value = run.latest.get(self.monitor)
        if value is not None and (self._best is None or self._sign * value < self._sign * self._best):
            self._best = value
            run.save(NAME)

    def on_end(self, run: Run) -> None:
        if self._best is not None:
            run.take_weights(NAME)

    def state(self) -> dict[str, Any]:
        return {"best": self._best}

    def restore(self, state: dict[str, Any]) -> None:
        self._best = state["best"]
