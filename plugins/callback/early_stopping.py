"""The callback ``early_stopping``."""

from __future__ import annotations

from typing import Any

from mlpframe.api import Callback, Run, UsageError, check_range, register


@register("early_stopping")
class EarlyStopping(Callback):
    """Stops the run when the monitored metric has not improved for a number of epochs.

    The run ends after ``patience`` epochs in a row without an improvement of more than ``min_delta``.

    Options:
        monitor: the metric that is watched.
        mode: "min" if less is better, "max" if more is.
        patience: epochs in a row without improvement, at least 1.
        min_delta: the change that an improvement has to exceed, at least 0.

    Source: Prechelt 1998, "Early stopping - but when?".
    """

    def __init__(
        self, *, monitor: str = "val/loss", mode: str = "min", patience: int = 5, min_delta: float = 0.0
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be min or max, not {mode!r}")
        check_range("patience", patience, minimum=1)
        check_range("min_delta", min_delta, minimum=0)
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self._sign = 1 if mode == "min" else -1
        self._best: float | None = None
        self._waited = 0

    def check(self, run: Run) -> None:
        if self.monitor not in run.metric_names:
            known = ", ".join(run.metric_names)
            raise UsageError(
                f"callbacks.early_stopping.monitor={self.monitor}: expected a metric of this run: {known}"
            )

    def on_start(self, run: Run) -> None:
        self._judge(run)  # a continued run may have used up its patience before

    def on_epoch(self, run: Run) -> None:
        value = run.latest[self.monitor]
        if self._best is None or self._sign * (self._best - value) > self.min_delta:
            self._best, self._waited = value, 0
        else:
            self._waited += 1
        self._judge(run)

    def _judge(self, run: Run) -> None:
        if self._waited >= self.patience:
            run.stop(f"{self.monitor} has not improved for {self.patience} epochs")

    def state(self) -> dict[str, Any]:
        return {"best": self._best, "waited": self._waited}

    def restore(self, state: dict[str, Any]) -> None:
        self._best, self._waited = state["best"], state["waited"]
