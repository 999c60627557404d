"""The callback ``stop_at``."""

from __future__ import annotations

from mlpframe.api import Callback, Run, UsageError, register


@register("stop_at")
class StopAt(Callback):
    """Stops the run when a metric has reached a value.

    The run ends with the first epoch after which monitor ≥ value (mode "max") or monitor ≤ value (mode
    "min").

    Options:
        monitor: the metric that is watched.
        value: the value that the metric has to reach.
        mode: "max" if more is better, "min" if less is.
    """

    def __init__(self, *, monitor: str = "val/accuracy", value: float = 0.98, mode: str = "max") -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be min or max, not {mode!r}")
        if value != value:
            raise ValueError(f"value must be a number, not {value}")
        self.monitor, self.value, self.mode = monitor, value, mode

    def check(self, run: Run) -> None:
        if self.monitor not in run.metric_names:
            known = ", ".join(run.metric_names)
            raise UsageError(
                f"callbacks.stop_at.monitor={self.monitor}: expected a metric of this run: {known}"
            )

    def on_start(self, run: Run) -> None:
        self.on_epoch(run)  # a continued run may have reached the value before

    def on_epoch(self, run: Run) -> None:
        value = run.latest.get(self.monitor)
        if value is None:
            return
        if value >= self.value if self.mode == "max" else value <= self.value:
            run.stop(f"{self.monitor} has reached {self.value:g}")
