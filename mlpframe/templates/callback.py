"""The callback ``template``."""

from __future__ import annotations

from typing import Any

from mlpframe.api import Callback, Run, check_range, register


@register("template")
class Template(Callback):
    """Stops the run when the training loss has fallen far enough.

    The callback reads the mean training loss after every epoch.

    Options:
        below: the run stops once the loss is less than this, at least 0.
    """

    def __init__(self, *, below: float = 0.0) -> None:
        check_range("below", below, minimum=0)
        self.below = below
        self._lowest: float | None = None

    def on_epoch(self, run: Run) -> None:
        loss = run.latest["train/loss"]
        self._lowest = loss if self._lowest is None else min(loss, self._lowest)
        if self._lowest < self.below:
            run.stop(f"the training loss is below {self.below}")

    def state(self) -> dict[str, Any]:
        return {"lowest": self._lowest}

    def restore(self, state: dict[str, Any]) -> None:
        self._lowest = state["lowest"]
