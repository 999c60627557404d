"""The results of a sweep's runs, read from their folders, grouped over seeds and shown as a table."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from ..api import UsageError
from .folder import RunFolder
from .overrides import FOLD, Override

REPEATED = ("seed", FOLD)
"""The settings that differ between runs that repeat one configuration. The table averages over such runs."""
METRICS = ("train/loss", "val/loss", "val/accuracy", "val/r2", "test/loss", "test/accuracy", "test/r2")
"""The metrics that get a column in the table if any run has them."""


NOT_STARTED = "not started"


@dataclass
class Job:
    """One run of a sweep, as read from its folder.

    Args:
        number: the number of the run in the sweep.
        folder: the run's folder.
        overrides, status, metrics, error: what the run's record says. The status is also ``not started`` if
            there is no record, or ``damaged``; then ``error`` says how.
    """

    number: int
    folder: Path
    overrides: list[str]
    status: str
    metrics: dict[str, float]
    error: str | None

    @property
    def history(self) -> Path:
        """The file of the run's metrics."""
        return self.folder / "history" / "history.csv"


def read_jobs(sweep: Path) -> list[Job]:
    """Read the folders of a sweep's jobs, by job number. A damaged record stops no other."""
    numbers = sorted(int(path.name) for path in sweep.glob("*") if path.name.isdigit())
    return [_read_job(number, RunFolder(sweep / str(number))) for number in numbers]


def _read_job(number: int, folder: RunFolder) -> Job:
    try:
        record = folder.settled()
    except UsageError as error:
        return Job(number, folder.path, [], "damaged", {}, str(error))
    status, overrides = record.get("status", NOT_STARTED), record.get("overrides", [])
    return Job(number, folder.path, overrides, status, record.get("metrics", {}), record.get("error"))


def group_by_settings(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Group the runs that differ only in the seed and in the fold of a cross-validation.

    The keys are the overrides that differ between groups.
    """
    constant = set.intersection(*(set(job.overrides) for job in jobs)) if len(jobs) > 1 else set()
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        own = [o for o in job.overrides if o not in constant and Override.parse(o).key not in REPEATED]
        groups.setdefault(" ".join(own) or "all", []).append(job)
    return groups


def metric_columns(jobs: Sequence[Job]) -> list[str]:
    """The metrics that the table shows."""
    return [name for name in METRICS if any(name in job.metrics for job in jobs)]


def summary_rows(groups: Mapping[str, Sequence[Job]], columns: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for label, members in groups.items():
        row: dict[str, Any] = {"configuration": label, "runs": len(members)}
        for name in columns:
            values = [job.metrics[name] for job in members if name in job.metrics]
            row[name] = statistics.fmean(values) if values else None
            row[f"{name} std"] = statistics.stdev(values) if len(values) > 1 else None
        rows.append(row)
    return rows


def summary_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(title="mean ± standard deviation over seeds and folds", title_justify="left")
    table.add_column("configuration")
    table.add_column("runs", justify="right")
    for name in columns:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row["configuration"], str(row["runs"]), *(_cell(row, name) for name in columns))
    return table


def _cell(row: Mapping[str, Any], name: str) -> str:
    if row[name] is None:
        return ""
    deviation = row[f"{name} std"]
    return f"{row[name]:.4f}" + (f" ± {deviation:.4f}" if deviation is not None else "")


def write_summary(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        names = ["configuration", "runs", *(part for name in columns for part in (name, f"{name} std"))]
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
