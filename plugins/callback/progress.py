"""The callback ``progress``."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mlpframe.api import Callback, Run, check_range, register


@register("progress")
class ProgressDisplay(Callback):
    """Shows how far the run is: epoch, loss, validation accuracy, rate, time left.

    A bar on a terminal, plain lines elsewhere. ``callbacks.progress=null`` silences the whole command
    but for errors.

    Options:
        style: "auto", "bar" or "lines".
        every_seconds: a plain line at most this often, at least 0; first and last epoch always have one.
    """

    only_shows = True

    def __init__(self, *, style: str = "auto", every_seconds: float = 1.0) -> None:
        if style not in ("auto", "bar", "lines"):
            raise ValueError(f"style must be auto, bar or lines, not {style!r}")
        check_range("every_seconds", every_seconds, minimum=0)
        self.style, self.every_seconds = style, every_seconds
        self._console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
        self._bar: Progress | None = None
        self._printed = 0.0
        self._started = 0.0
        self._first_step = 0

    def on_start(self, run: Run) -> None:
        self._started, self._first_step = time.monotonic(), run.step
        if self.style == "bar" or (self.style == "auto" and self._console.is_terminal):
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[text]}", markup=False),
                TimeRemainingColumn(),
                console=self._console,
                refresh_per_second=4,
            )
            self._bar.add_task(run.title, total=run.total_steps, completed=run.step, text="")
            self._bar.start()

    def on_window(self, run: Run) -> None:
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=run.step, text=self._text(run))

    def on_epoch(self, run: Run) -> None:
        if self._bar:
            self.on_window(run)
            return
        now = time.monotonic()
        if run.epoch in (1, run.epochs) or now - self._printed >= self.every_seconds:
            self._printed = now
            done = run.step - self._first_step
            left = (now - self._started) / done * (run.total_steps - run.step) if done else 0.0
            self._console.print(f"{run.title}  {self._text(run)}  {left:.0f} s left")

    def on_end(self, run: Run) -> None:
        if self._bar:
            self._bar.stop()

    def on_failure(self, run: Run, error: BaseException) -> None:
        if self._bar:
            self._bar.stop()

    @staticmethod
    def _text(run: Run) -> str:
        shown = [f"epoch {run.epoch}/{run.epochs}"]
        latest = run.latest
        loss = latest.get("train/loss_window" if "train/loss" not in latest else "train/loss")
        if loss is not None:
            shown.append(f"loss {loss:.4f}")
        shown += [
            f"{label} {latest[name]:.4f}"
            for label, name in (
                ("val loss", "val/loss"),
                ("val accuracy", "val/accuracy"),
                ("val r2", "val/r2"),
            )
            if name in latest
        ]
        return "  ".join([*shown, f"lr {run.lr:.3g}"])
