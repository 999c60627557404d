"""The schedule ``loss_ratio``."""

from __future__ import annotations

from math import inf

from mlpframe.api import Schedule, check_range, register


@register("loss_ratio")
class LossRatio(Schedule):
    """The rate follows the training loss.

    factor ← factor · (mean loss of this window ÷ mean loss of the window before), after each window

    A window is ``update_step`` consecutive updates. The first window has no window before it, so the factor
    stays 1. If the window before had the loss 0, the factor does not change. The product telescopes: after
    window n the factor is loss_n / loss_1, and the rate rises when the loss rises. A window whose mean loss
    is negative or not finite is skipped.

    Options:
        update_step: updates in a window, at least 1.

    Source: "Assignment 1: Implementing MLP using Numpy" 2022, a report.
    """

    observes = "window"

    def __init__(self, *, update_step: int = 100) -> None:
        check_range("update_step", update_step, minimum=1)
        self.window = update_step
        self._factor = 1.0
        self._last: float | None = None

    def factor(self, step: int, total_steps: int) -> float:
        return self._factor

    def observe(self, value: float) -> None:
        if not 0 <= value < inf:
            return
        if self._last:  # neither the first window nor a window after a loss of 0
            self._factor *= value / self._last
        self._last = value

    def state(self) -> dict[str, float]:
        if self._last is None:
            return {"factor": self._factor}
        return {"factor": self._factor, "last": self._last}

    def restore(self, state: dict[str, float]) -> None:
        self._factor, self._last = state["factor"], state.get("last")
