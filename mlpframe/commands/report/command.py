"""``mlpframe report``: repeat the report that mlpframe grew out of, and write the results as one page."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ...machine import processors
from ...outputs import OUTPUTS, store_uri
from ...runs.folder import STATUS, RunFolder
from ...runs.signals import ignore_signals, on_signal
from ...runs.terminal import new_console
from ...tracking.client import MLflowTracker, TrackingError
from ...tracking.messages import End, Start
from .plan import Job, jobs

if TYPE_CHECKING:
    from ...runs.train import Outcome

QUIET = "callbacks.progress=null"


@click.command("report")
@click.option("--quick", is_flag=True, help="Run a small version on bundled data, in less than a minute.")
@click.option(
    "--out", type=Path, default=None, help="The report's folder; default: outputs/report/full, or quick."
)
@click.option(
    "--jobs",
    "at_once",
    type=click.IntRange(1),
    default=processors(),
    show_default="number of processors",
    help="Number of runs at the same time.",
)
@click.option("--data-dir", default=None, help="Folder of the MNIST files; default: MLPFRAME_DATA.")
@click.option(
    "--uri", default=None, help="MLflow store; default: MLFLOW_TRACKING_URI, else outputs/mlflow.db."
)
def report(quick: bool, out: Path | None, at_once: int, data_dir: str | None, uri: str | None) -> int:
    """Run all experiments of the report, and write one page with the printed and the measured numbers.

    Finished runs are kept. After an interruption, the same command continues with the remaining runs. If all
    runs are finished, the command only writes the page. All runs are children of one MLflow run.
    """
    folder = (out or OUTPUTS / "report" / ("quick" if quick else "full")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    own = [*([f"data_dir={data_dir}"] if data_dir else []), *([f"tracking.uri={uri}"] if uri else []), QUIET]
    planned = [Task(job, folder / "runs" / job.name, own) for job in jobs(quick=quick)]
    tracker = _start_parent(folder, store_uri(uri), quick=quick)
    console = new_console(soft_wrap=True)
    status = "failed"
    try:
        code = _run_all(
            [task for task in planned if not task.done()], planned, tracker.run_id(), at_once, console
        )
        if code == 0:
            _write_page(folder, planned, judged=not quick)
            status = "finished"
        elif code > 128:
            status = "interrupted"
    finally:
        recorded = _end_parent(tracker, status, console)
    if status == "finished":
        console.print(f"page    {os.path.relpath(folder / 'page' / 'report.html')}")
    if recorded:
        console.print(f"MLflow run {recorded['run_id']}; open it with: python -m mlpframe ui")
    return code


@dataclass(frozen=True)
class Task:
    """A run that the report needs, the run's folder, and overrides that the command adds to the run's."""

    job: Job
    path: Path
    own: Sequence[str]

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.path)

    @property
    def overrides(self) -> list[str]:
        return [*self.job.overrides, *self.own]

    def done(self) -> bool:
        record = self.folder.read()
        return record.get("status") == "finished" and record.get("overrides") == self.overrides

    def run(self, parent: str, at_once: int) -> Outcome:
        """Start the run, or continue an interrupted run, in this process."""
        from ...runs.compose import compose
        from ...runs.request import Request
        from ...runs.train import train

        overrides = [*self.overrides, f"tracking.parent={parent}"]
        if self.path.exists() and self.folder.read().get("overrides") != self.overrides:
            shutil.rmtree(self.path)
        if self.folder.checkpoint.exists():
            overrides.append(f"resume={self.path}")
        (outcome,) = train([Request(compose(overrides), self.overrides, self.folder)], at_once)
        return outcome


def _run_task(task: Task, parent: str, at_once: int) -> tuple[str, str | None, int]:
    """Run a task in a process of the pool. Returns how the run ended, the error, and the exit status."""
    from ...registry import UsageError

    try:
        outcome = task.run(parent, at_once)
    except UsageError as error:
        return "failed", str(error), 2
    return outcome.status, outcome.error, outcome.exit_code


def _run_all(
    tasks: Sequence[Task], planned: Sequence[Task], parent: str, at_once: int, console: Console
) -> int:
    """Run the tasks in parallel. Returns the exit status."""
    if len(tasks) < len(planned):
        console.print(f"{len(planned) - len(tasks)} of {len(planned)} runs have finished already")
    failed: list[tuple[Task, str, str | None, int]] = []
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(at_once, spawn, _attach, (os.getpid(),))
    try:
        with on_signal(_stop_children), _progress(len(tasks), console) as progress:
            futures: dict[Future[tuple[str, str | None, int]], Task] = {
                pool.submit(_run_task, task, parent, at_once): task for task in tasks
            }
            for future in as_completed(futures):
                task = futures[future]
                status, reason, code = future.result()
                if code:
                    failed.append((task, status, reason, code))
                    if status == "interrupted":
                        raise SystemExit(code)
                    if code == 2:  # a wrong request, which would stop every other task too
                        break
                progress(task.job.name)
    except (SystemExit, BrokenProcessPool) as stopped:
        console.print("interrupted; the same command continues from here")
        return int(stopped.code or 0) if isinstance(stopped, SystemExit) else 1
    finally:
        pool.shutdown(cancel_futures=True)
    for task, status, reason, _ in failed:
        console.print(f"{task.job.name} ({' '.join(task.overrides)}) {status}: {reason}")
    return max((code for *_, code in failed), default=0)


def _attach(parent: int) -> None:
    """Let only the command interrupt this process of the pool, and end the process if the command ends."""
    if hasattr(os, "setsid"):
        # Without a session of its own, the process would get Ctrl-C from the terminal and from the command.
        # The second signal would end the run before the run has saved its state.
        os.setsid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)  # makes the run save its state

    threading.Thread(target=watch, daemon=True).start()


def _stop_children(number: int) -> None:
    """Stop the processes that train, which save their state. Ignore every later signal."""
    ignore_signals()
    for child in multiprocessing.active_children():
        child.terminate()
    raise SystemExit(128 + number)


@contextmanager
def _progress(total: int, console: Console) -> Iterator[Any]:
    """Show progress. Yields a function to call with the name of each run that has ended."""
    done = 0
    if not console.is_terminal:

        def line(name: str) -> None:
            nonlocal done
            done += 1
            console.print(f"{done} of {total} runs: {name}")

        yield line
        return
    columns = (BarColumn(), TextColumn("{task.completed} of {task.total} runs"), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=console) as bar:
        task = bar.add_task("", total=total)
        yield lambda name: bar.update(task, advance=1, description=name)


def _start_parent(folder: Path, uri: str, *, quick: bool) -> MLflowTracker:
    tracker = MLflowTracker(folder)
    tracker.start(
        Start(
            uri=uri,
            experiment="mlpframe",
            name="report, small version" if quick else "report",
            tags={"mlpframe.status": "running", "mlpframe.sweep": "true"},
            run_id=RunFolder(folder).mlflow_run(),
        )
    )
    return tracker


def _end_parent(tracker: MLflowTracker, status: str, console: Console) -> dict[str, Any]:
    try:
        return tracker.end(End(STATUS[status], {"mlpframe.status": status}, ["page"]))
    except TrackingError as error:
        console.print(f"MLflow did not record the report: {error}")
        return {}


def _write_page(folder: Path, planned: Sequence[Task], *, judged: bool) -> None:
    from .page import render
    from .results import Results, Run

    runs = [Run.read(task.job, task.path) for task in planned]
    page = folder / "page" / "report.html"
    page.parent.mkdir(exist_ok=True)
    part = page.with_suffix(".part")
    part.write_text(render(Results(runs), judged=judged), encoding="utf-8")
    part.replace(page)
