"""The callback ``progress``."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlpframe.api import Callback, Run, check_range, register

if TYPE_CHECKING:
    from rich.progress import Progress

LONG = {"val/loss": "val loss", "val/accuracy": "val accuracy", "val/r2": "val r2"}
SHORT = {"val/loss": "val", "val/accuracy": "acc", "val/r2": "r2"}
"""How metrics are called in plain lines (``LONG``) and beside a bar of 80 columns (``SHORT``)."""


@register("progress")
class ProgressDisplay(Callback):
    """Shows how far the run is: epoch, loss, validation accuracy, learning rate, time left.

    A terminal shows a bar; other outputs get plain lines. ``callbacks.progress=null`` silences the whole
    command except for errors.

    Options:
        style: "bar", "lines", or "auto" (a bar on a terminal, else lines).
        every_seconds: the shortest time between two plain lines, at least 0; the first and the last epoch
            always print a line.
    """

    only_shows = True

    def __init__(self, *, style: str = "auto", every_seconds: float = 1.0) -> None:
        if style not in ("auto", "bar", "lines"):
            raise ValueError(f"style must be auto, bar or lines, not {style!r}")
        check_range("every_seconds", every_seconds, minimum=0)
        self.style, self.every_seconds = style, every_seconds
        self._bar: Progress | None = None
        self._printed = 0.0
        self._started = 0.0
        self._first_step = 0

    def on_start(self, run: Run) -> None:
        self._started, self._first_step = time.monotonic(), run.step
        if self.style == "bar" or (self.style == "auto" and sys.stdout.isatty()):
            self._bar = _new_bar()
            self._bar.add_task(run.title, total=run.total_steps, completed=run.step, text="")
            self._bar.start()

    def on_window(self, run: Run) -> None:
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=run.step, text=_text(run, SHORT))

    def on_epoch(self, run: Run) -> None:
        if self._bar:
            self.on_window(run)
            return
        now = time.monotonic()
        if run.epoch in (1, run.epochs) or now - self._printed >= self.every_seconds:
            self._printed = now
            done = run.step - self._first_step
            left = (now - self._started) / done * (run.total_steps - run.step) if done else 0.0
            print(f"{run.title}  epoch {_text(run, LONG)}  {left:.0f} s left", flush=True)

    def on_end(self, run: Run) -> None:
        if self._bar:
            self._bar.stop()

    def on_failure(self, run: Run, error: BaseException) -> None:
        if self._bar:
            self._bar.stop()


def _new_bar() -> Progress:
    """A bar that always shows its numbers in full; the run's title gets the space that is left."""
    from rich.console import Console  # imported late: plain lines do not need rich
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    title = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    numbers = Column(no_wrap=True)
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=title),
        BarColumn(bar_width=8),
        TextColumn("{task.fields[text]}", markup=False, table_column=numbers),
        TimeRemainingColumn(compact=True),
        console=Console(highlight=False, markup=False, emoji=False),
        refresh_per_second=4,
        expand=True,
    )


def _text(run: Run, names: Mapping[str, str]) -> str:
    """One line of text: epochs done, training loss, the metrics in ``names``, and the learning rate."""
    latest = run.latest
    shown = [f"{run.epoch}/{run.epochs}"]
    loss = latest.get("train/loss", latest.get("train/loss_window"))
    if loss is not None:
        shown.append(f"loss {loss:.4f}")
    shown += [f"{words} {latest[name]:.4f}" for name, words in names.items() if name in latest]
    return "  ".join([*shown, f"lr {run.lr:.3g}"])
