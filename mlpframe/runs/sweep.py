"""Sweeps: one MLflow parent run, a table over the seeds, a figure of all curves."""

from __future__ import annotations

import csv
import os
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict, read_write
from rich.console import Console
from rich.table import Table

from ..outputs import store_uri
from ..tracking.client import MLflowTracker, TrackingError
from .folder import STATUS, RunFolder

PARENT = "++tracking.parent="
METRICS = ("train/loss", "val/loss", "val/accuracy", "val/r2", "test/loss", "test/accuracy", "test/r2")


def own_overrides(overrides: Sequence[str]) -> list[str]:
    """The overrides that say what is run, as a person gives them: the same for a run and its continuation."""
    own = [o for o in overrides if not o.startswith((PARENT, "resume="))]
    return [o.removeprefix("++") for o in own]


@dataclass
class Job:
    """One run of a sweep, as its folder tells."""

    number: int
    folder: Path
    overrides: list[str]
    status: str
    metrics: dict[str, float]
    error: str | None


@dataclass
class Sweep:
    """The sweep this process has launched: its folder, and its run in MLflow."""

    folder: Path
    tracker: MLflowTracker | None = None

    def read_jobs(self) -> list[Job]:
        """What the jobs' folders say, by number."""
        jobs = []
        for number in sorted(int(path.name) for path in self.folder.glob("*") if path.name.isdigit()):
            folder = RunFolder(self.folder / str(number))
            record = folder.read()
            status = record.get("status", "running")
            jobs.append(
                Job(
                    number,
                    folder.path,
                    record.get("overrides", []),
                    "died" if status == "running" else status,  # it had no time to say how it ended
                    record.get("metrics", {}),
                    record.get("error"),
                )
            )
        return jobs

    def discard_if_unused(self) -> bool:
        """Take the sweep back if none of its jobs was started; says whether that was so."""
        if self.read_jobs():
            return False
        if self.tracker is not None:
            self.tracker.discard()
        shutil.rmtree(self.folder, ignore_errors=True)
        return True


def group_by_seed(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Runs that differ in the seed alone, by the overrides that tell the groups apart."""
    constant = set.intersection(*(set(job.overrides) for job in jobs)) if len(jobs) > 1 else set()
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        own = [o for o in job.overrides if o not in constant and not o.startswith("seed=")]
        groups.setdefault(" ".join(own) or "all", []).append(job)
    return groups


launched: list[Sweep] = []
"""The sweeps of this process; Hydra makes the callback below, the command line ends the sweep."""


new_folders: list[Path] = []
"""The folders that Hydra makes for the run of this process, innermost first."""


class HydraCallback(Callback):
    """Notes which folders are new, and tells a sweep's jobs the MLflow run they are children of."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.run.dir).absolute()
        new_folders[:] = [path for path in (folder, *folder.parents) if not path.exists()]

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        sweep = Sweep(Path(config.hydra.sweep.dir).resolve())
        launched.append(sweep)
        tracking = config.tracking
        if tracking.name != "mlflow":
            return
        sweep.folder.mkdir(parents=True, exist_ok=True)
        sweep.tracker = MLflowTracker(sweep.folder)
        sweep.tracker.start(
            {
                "uri": store_uri(tracking.uri),
                "experiment": tracking.experiment,
                "parent": None,
                "run_id": None,
                "name": "sweep " + " ".join(config.hydra.overrides.task),
                "tags": {
                    "mlpframe.overrides": " ".join(config.hydra.overrides.task),
                    "mlpframe.sweep": "true",
                },
                "params": {},
                "data": [],
            }
        )
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.overrides.hydra.append(f"{PARENT}{sweep.tracker.run_id()}")


def end_sweep(sweep: Sweep, *, interrupted: bool = False) -> int:
    """Print the table, name what failed, end the parent run; returns the exit status."""
    console = Console(highlight=False, soft_wrap=True)
    jobs = sweep.read_jobs()
    good = [job for job in jobs if job.status == "finished"]
    groups = group_by_seed(good)
    columns = [name for name in METRICS if any(name in job.metrics for job in good)]
    rows = _rows(groups, columns)
    if rows:
        console.print(_table(rows, columns))
    failed = [job for job in jobs if job.status != "finished" or job.error]
    for job in failed:
        reason = f": {job.error}" if job.error else ""
        console.print(f"job {job.number} ({' '.join(job.overrides)}) {job.status}{reason}", markup=False)
    if failed:
        console.print(f"{len(failed)} of {len(jobs)} jobs did not finish")
    console.print(f"files   {os.path.relpath(sweep.folder)}")
    code = 1 if failed else 0
    status = "interrupted" if interrupted else "failed" if failed else "finished"
    if sweep.tracker is not None:
        _write_summary(sweep.folder / "sweep" / "summary.csv", rows, columns)
        try:
            recorded = sweep.tracker.end(
                STATUS[status],
                {
                    "tags": {"mlpframe.status": status},
                    "files": ["sweep", "figures"],
                    "curves": {
                        "metrics": [
                            name for name in ("train/loss", "val/loss", "val/accuracy") if name in columns
                        ],
                        "groups": {
                            label: [str(job.folder / "history" / "history.csv") for job in members]
                            for label, members in groups.items()
                        },
                    },
                },
            )
            console.print(f"MLflow run {recorded['run_id']}; to look at it: python -m mlpframe ui")
        except TrackingError as error:
            console.print(f"MLflow did not record the sweep: {error}")
            code = 1
    return code


def _rows(groups: Mapping[str, Sequence[Job]], columns: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for label, members in groups.items():
        row: dict[str, Any] = {"configuration": label, "runs": len(members)}
        for name in columns:
            values = [job.metrics[name] for job in members if name in job.metrics]
            row[name] = statistics.fmean(values) if values else None
            row[f"{name} std"] = statistics.stdev(values) if len(values) > 1 else None
        rows.append(row)
    return rows


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(title="mean ± standard deviation over seeds", title_justify="left")
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


def _write_summary(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        names = ["configuration", "runs", *(part for name in columns for part in (name, f"{name} std"))]
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
