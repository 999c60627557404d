"""The results of the report's runs, read from their folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ...training.history import History
from .plan import Job


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        job: the job that was run.
        folder: the run's folder.
        history: the run's metrics.
        recorded: the run's ids in MLflow; empty if the run is not in MLflow.
    """

    job: Job
    folder: Path
    history: History
    recorded: dict[str, Any]

    @classmethod
    def read(cls, job: Job, folder: Path) -> Run:
        file = folder / "mlflow.json"
        recorded = json.loads(file.read_text()) if file.exists() else {}
        return cls(job, folder, History.read_csv(folder / "history" / "history.csv"), recorded)

    def epochs(self, metric: str) -> list[float]:
        """The values of a metric after every epoch."""
        return self.history.series(metric)[1]

    def windows(self, size: int) -> tuple[list[int], list[float]]:
        """The last step of each window of ``size`` updates, and the mean loss of each window."""
        steps, values = self.history.series("train/loss_window")
        together = size // steps[0]
        ends = range(together, len(values) + 1, together)
        return [steps[end - 1] for end in ends], [fmean(values[end - together : end]) for end in ends]

    def last_windows(self) -> list[float]:
        """The mean loss of the last complete window (consecutive updates) of every epoch."""
        by_step = dict(zip(*self.history.series("train/loss_window"), strict=True))
        ends = self.history.series("train/loss")[0]
        return [by_step[max(step for step in by_step if step <= end)] for end in ends]

    @property
    def last_lr(self) -> float:
        """The learning rate that the report's rule gives after the last window (consecutive updates).

        The rule multiplies the rate by the ratio of the mean losses of the last two windows.
        """
        _, windows = self.history.series("train/loss_window")
        return self.history.latest["lr"] * windows[-1] / windows[-2]

    @property
    def seconds(self) -> float:
        return sum(self.epochs("time/epoch_seconds"))


class Results:
    """All runs, grouped by the part of the report that they belong to."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.all = list(runs)

    def part(self, part: str, label: str = "") -> list[Run]:
        return [run for run in self.all if run.job.part == part and label in ("", run.job.label)]

    def first(self, part: str) -> Run:
        return self.part(part)[0]


def mean_epochs(runs: Sequence[Run], metric: str) -> list[float]:
    """The mean over runs of a metric after every epoch."""
    return [fmean(values) for values in zip(*(run.epochs(metric) for run in runs), strict=True)]
