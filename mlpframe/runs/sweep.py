"""A sweep, and the session in which Hydra runs one experiment or many."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from ..discovery import load_plugins
from ..machine import processors
from ..outputs import store_uri
from ..tracking.client import MLflowTracker, TrackingError, worker
from ..tracking.messages import End, Start
from .compose import CONF, usage_error
from .folder import STATUS, SWEEP, RunFolder
from .overrides import PARENT, own_overrides
from .request import Request, in_groups
from .signals import end_process, on_signal, raise_exit, signals_ignored
from .summary import (
    NOT_STARTED,
    Job,
    group_by_settings,
    metric_columns,
    read_jobs,
    summary_rows,
    summary_table,
    write_summary,
)
from .terminal import new_console
from .train import Outcome, train

CURVES = ("train/loss", "val/loss", "val/accuracy")
"""The metrics whose curves are drawn for a sweep."""


class Sweep:
    """The sweep that this process has launched: its folder, and its run in MLflow.

    Args:
        folder: holds a folder for each job.
        replicas: how many jobs are trained together.
    """

    def __init__(self, folder: Path, replicas: int) -> None:
        self.folder, self.replicas = RunFolder(folder, SWEEP), replicas
        self.tracker: MLflowTracker | None = None
        self.folder.acquire()

    def start(self, config: DictConfig) -> None:
        """Start the sweep that Hydra is about to launch, or continue it, and its run in MLflow.

        The MLflow run is the parent of the jobs' runs. With ``tracking=none`` there is none.
        """
        overrides = own_overrides(config.hydra.overrides.task)
        self.folder.write(status="running", started=time.time(), overrides=overrides, replicas=self.replicas)
        tracking, words = config.tracking, " ".join(overrides)
        if tracking.name != "mlflow":
            return
        self.tracker = MLflowTracker(self.folder.path)
        tags = {"mlpframe.overrides": words, "mlpframe.sweep": "true"}
        run_id = self.folder.mlflow_run()
        self.tracker.start(
            Start(store_uri(tracking.uri), tracking.experiment, f"sweep {words}", tags, run_id=run_id)
        )

    def has_started(self) -> bool:
        """Whether a job of this sweep was started."""
        return any(job.status != NOT_STARTED for job in read_jobs(self.folder.path))

    def discard(self) -> None:
        """Delete the sweep, of which no job was started."""
        if self.tracker is not None:
            self.tracker.discard()
            worker().close()  # until then, the tracking process writes into the folder
        shutil.rmtree(self.folder.path, ignore_errors=True)

    def end(self, *, interrupted: bool = False) -> int:
        """Print the table, name the jobs that failed, and end the MLflow run. Returns the exit status."""
        print_line = new_console(soft_wrap=True).print
        jobs = read_jobs(self.folder.path)
        finished = [job for job in jobs if job.status == "finished"]
        groups = group_by_settings(finished)
        columns = metric_columns(finished)
        rows = summary_rows(groups, columns)
        if rows:
            print_line(summary_table(rows, columns))
        failed = [job for job in jobs if job.status != "finished" or job.error]
        for job in failed:
            reason = f": {job.error}" if job.error else ""
            print_line(f"job {job.number} ({' '.join(job.overrides)}) {job.status}{reason}")
        if failed:
            print_line(f"{len(failed)} of {len(jobs)} jobs did not finish")
        path = os.path.relpath(self.folder.path)
        print_line(f"files   {path}")
        if self.replicas > 1 and interrupted:
            print_line(f"to continue: python -m mlpframe resume={path}")
        status = "interrupted" if interrupted else "failed" if failed else "finished"
        code = 1 if failed else 0
        try:
            self.folder.write(status=status)
            if self.tracker is not None:
                self._write_results(groups, rows, columns)
        except OSError as error:  # a full disk, or a folder that became read-only
            print_line(f"the files of the sweep cannot be written: {error.strerror}")
            code = 1
        if self.tracker is None:
            return code
        try:
            tags = {"mlpframe.status": status}
            recorded = self.tracker.end(End(STATUS[status], tags, ["sweep", "figures"]))
        except TrackingError as error:
            print_line(f"MLflow did not record the sweep: {error}")
            return 1
        print_line(f"MLflow run {recorded['run_id']}; open it with: python -m mlpframe ui")
        return code

    def _write_results(
        self, groups: Mapping[str, Sequence[Job]], rows: Sequence[Mapping[str, Any]], columns: Sequence[str]
    ) -> None:
        from ..figures.sweep import draw_sweep  # imports matplotlib, which only a sweep needs here

        write_summary(self.folder.path / "sweep" / "summary.csv", rows, columns)
        curves = {label: [job.history for job in members] for label, members in groups.items()}
        draw_sweep(curves, [name for name in CURVES if name in columns], self.folder.path / "figures")


class SweepSession:
    """One call of Hydra, for one experiment or a sweep, from its first folder to its exit status.

    Args:
        replicas: how many runs of a sweep are trained together.
        continues: whether the sweep was begun by an earlier command.
    """

    def __init__(self, replicas: int = 1, *, continues: bool = False) -> None:
        self.replicas, self.continues = replicas, continues
        self.sweep: Sweep | None = None
        self.folder: RunFolder | None = None
        self.new_folders: list[Path] = []
        self.sequential = False
        self._signals: list[int] = []
        self._outcomes: list[Outcome] = []
        self._waiting: list[Request] = []
        self._refused: Exception | None = None

    def run(self, words: Sequence[str]) -> int:
        """Run the experiment or sweep that a command line asks for. Returns the exit status.

        Args:
            words: flags and overrides in the form that Hydra accepts.

        Raises:
            UsageError: the request is wrong; nothing was started, and no folder is left.
        """
        os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise errors instead of printing them
        sys.argv = [sys.argv[0], *words]
        command = hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")(run_job)
        try:
            with on_signal(self._stop):
                command()
                self._heed_signals()
                for group in in_groups(self._waiting, self.replicas):
                    if unfinished := [request for request in group if not self._is_done(request.folder)]:
                        self._attempt(unfinished, 1, RunMode.MULTIRUN)
        except Exception as error:
            self._clean_up()
            raise (usage_error(error) or error) from error
        except BaseException:  # Ctrl-C, or the exit after an interrupted job
            self._clean_up(interrupted=True)
            raise
        if self._refused is not None:
            raise self._refused
        if self.sweep is not None:
            return self.sweep.end()
        for outcome in self._outcomes:
            if outcome.error:
                print(f"{outcome.status}: {outcome.error}", file=sys.stderr)
            return outcome.exit_code
        return 0

    def job(self, config: DictConfig) -> float | None:
        """Run the experiment of one configuration. Returns the validation loss, for a sweeper to minimize."""
        self._heed_signals()
        settings = HydraConfig.get()
        mode = settings.mode or RunMode.RUN
        folder = RunFolder(Path(settings.runtime.output_dir))
        if self.continues:
            config.resume = str(folder.path)
        explains = mode == RunMode.RUN or settings.job.num == 0
        request = Request(config, own_overrides(settings.overrides.task), folder, explains=explains)
        if self.replicas > 1:
            self._waiting.append(request)
            return None
        try:
            self._attempt([request], _jobs_at_once(settings), mode)
        except Exception as error:
            self._clean_up()
            self._refused = error  # raised after Hydra has returned: Hydra would print more
            return None
        return self._outcomes[-1].metrics.get("val/loss")

    def _attempt(self, requests: Sequence[Request], jobs: int, mode: RunMode) -> None:
        """Train. If a job of a sweep fails, its error becomes the job's outcome, and the sweep goes on."""
        try:
            outcomes = train(requests, jobs, self._signals)
        except Exception as error:
            reason = usage_error(error)
            if mode == RunMode.RUN:
                raise (reason or error) from error
            outcomes = [Outcome("failed", error=str(reason or repr(error))) for _ in requests]
            for request, outcome in zip(requests, outcomes, strict=True):
                request.folder.write(status="failed", overrides=request.overrides, error=outcome.error)
        self._outcomes.extend(outcomes)
        if mode == RunMode.MULTIRUN:
            for outcome in outcomes:
                if outcome.signum is not None:  # the signal asks the whole sweep to stop
                    raise SystemExit(128 + outcome.signum)

    def _heed_signals(self) -> None:
        """Stop the sweep if a signal has asked for it."""
        for number in self._signals:
            raise_exit(number)

    def _is_done(self, folder: RunFolder) -> bool:
        return self.continues and folder.settled().get("status") in ("finished", "diverged")

    def _stop(self, number: int) -> None:
        """End this process because of a signal that came while no run is trained.

        A single run or a stack that has not begun leaves nothing behind; the process ends at once, because
        an exception would go wrong while a library is imported. A sweep whose jobs run in this process, one
        after another, stops at the next step of a run or before the next job. Other launchers need the
        exception, to stop their processes.
        """
        with signals_ignored():
            is_sweep = self.sweep is not None and (self.replicas == 1 or self.sweep.has_started())
            if is_sweep and self.sequential:
                self._signals.append(number)
                return
            if is_sweep or self._outcomes:
                raise_exit(number)
        self._clean_up(interrupted=True)
        end_process(number)

    def _clean_up(self, *, interrupted: bool = False) -> None:
        """Remove the folders of runs that have not started, and end a sweep of which no job was started."""
        with signals_ignored():
            if self.folder is not None:
                self.folder.remove_if_unused(self.new_folders)
            for job in read_jobs(self.sweep.folder.path) if self.sweep is not None else ():
                RunFolder(job.folder).remove_if_unused([job.folder])
        if self.sweep is None:
            return
        with on_signal(end_process):  # a second signal does not wait for the tracking process
            if not self.continues and not self.sweep.has_started():
                self.sweep.discard()
            elif interrupted:
                self.sweep.end(interrupted=True)


_session: ContextVar[SweepSession] = ContextVar("session")


def session() -> SweepSession:
    """The session of this process. A process that a launcher started gets a new session."""
    if _session.get(None) is None:
        _session.set(SweepSession())
    return _session.get()


@contextmanager
def new_session(replicas: int, *, continues: bool = False) -> Iterator[SweepSession]:
    """Make a new session the session of this process inside the ``with`` statement."""
    token = _session.set(SweepSession(replicas, continues=continues))
    try:
        yield _session.get()
    finally:
        _session.reset(token)


def run_job(config: DictConfig) -> float | None:
    """Run one job. Hydra calls this function for each job, also in processes that a launcher started."""
    load_plugins()
    return session().job(config)


class HydraCallback(Callback):
    """Tells the session which folders Hydra makes, and tells a sweep's jobs their parent run in MLflow."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.run.dir).absolute()
        session().new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
        session().folder = RunFolder(folder)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        sweep = session().sweep = Sweep(Path(config.hydra.sweep.dir), session().replicas)
        session().sequential = config.hydra.launcher._target_.endswith(".BasicLauncher")
        sweep.start(config)
        if sweep.tracker is not None:
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.overrides.hydra.append(f"++{PARENT}={sweep.tracker.run_id()}")


def _jobs_at_once(settings: Any) -> int:
    """How many jobs Hydra's launcher runs at the same time on this machine."""
    number = int(settings.launcher.get("n_jobs") or 1)
    return number if number > 0 else processors()
