"""The results of a sweep's runs, read from their folders, grouped over seeds and shown as a table."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from .folder import RunFolder
from .overrides import FOLD, Override

REPEATED = ("seed", FOLD)
"""The settings that differ between runs that repeat one configuration. The table averages over such runs."""
METRICS = ("train/loss", "val/loss", "val/accuracy", "val/r2", "test/loss", "test/accuracy", "test/r2")
"""The metrics that get a column in the table if any run has them."""


@dataclass
class Job:
    """One run of a sweep, as read from its folder."""

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
    """Read the folders of a sweep's jobs, in the order of the job numbers."""
    jobs = []
    for number in sorted(int(path.name) for path in sweep.glob("*") if path.name.isdigit()):
        folder = RunFolder(sweep / str(number))
        record = folder.read()
        status = record.get("status", "running")
        jobs.append(
            Job(
                number,
                folder.path,
                record.get("overrides", []),
                "died" if status == "running" else status,  # its process ended without a new status
                record.get("metrics", {}),
                record.get("error"),
            )
        )
    return jobs


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
