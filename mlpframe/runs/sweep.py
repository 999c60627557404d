"""A sweep, and the session in which Hydra runs one experiment or many."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
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
from ..tracking.client import MLflowTracker, TrackingError
from ..tracking.messages import End, Start
from .compose import CONF, usage_error
from .folder import STATUS, RunFolder
from .overrides import PARENT, own_overrides
from .request import Request, in_groups
from .summary import group_by_settings, metric_columns, read_jobs, summary_rows, summary_table, write_summary
from .terminal import new_console
from .train import Outcome, train

CURVES = ("train/loss", "val/loss", "val/accuracy")
"""The metrics whose curves are drawn for a sweep."""


class Sweep:
    """The sweep that this process has launched: its folder, and its run in MLflow.

    Args:
        folder: holds a folder for each job.
        tracker: records the MLflow run that is the jobs' parent; ``None`` with ``tracking=none``.
    """

    def __init__(self, folder: Path, tracker: MLflowTracker | None) -> None:
        self.folder, self.tracker = folder, tracker

    @classmethod
    def start(cls, config: DictConfig) -> Sweep:
        """Start the sweep that Hydra is about to launch, and its MLflow run."""
        folder, tracking = Path(config.hydra.sweep.dir).resolve(), config.tracking
        if tracking.name != "mlflow":
            return cls(folder, None)
        folder.mkdir(parents=True, exist_ok=True)
        tracker = MLflowTracker(folder)
        overrides = " ".join(config.hydra.overrides.task)
        tags = {"mlpframe.overrides": overrides, "mlpframe.sweep": "true"}
        tracker.start(Start(store_uri(tracking.uri), tracking.experiment, f"sweep {overrides}", tags))
        return cls(folder, tracker)

    def discard_if_unused(self) -> bool:
        """Delete the sweep if none of its jobs has started. Returns whether the sweep was deleted."""
        if read_jobs(self.folder):
            return False
        if self.tracker is not None:
            self.tracker.discard()
        shutil.rmtree(self.folder, ignore_errors=True)
        return True

    def end(self, *, interrupted: bool = False) -> int:
        """Print the table, name the jobs that failed, and end the MLflow run. Returns the exit status."""
        print_line = new_console(soft_wrap=True).print
        jobs = read_jobs(self.folder)
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
        print_line(f"files   {os.path.relpath(self.folder)}")
        status = "interrupted" if interrupted else "failed" if failed else "finished"
        code = 1 if failed else 0
        if self.tracker is None:
            return code
        from ..figures.sweep import draw_sweep  # imports matplotlib, which only a sweep needs here

        write_summary(self.folder / "sweep" / "summary.csv", rows, columns)
        curves = {label: [job.history for job in members] for label, members in groups.items()}
        draw_sweep(curves, [name for name in CURVES if name in columns], self.folder / "figures")
        try:
            tags = {"mlpframe.status": status}
            recorded = self.tracker.end(End(STATUS[status], tags, ["sweep", "figures"]))
        except TrackingError as error:
            print_line(f"MLflow did not record the sweep: {error}")
            return 1
        print_line(f"MLflow run {recorded['run_id']}; open it with: python -m mlpframe ui")
        return code


class SweepSession:
    """One call of Hydra, for one experiment or a sweep, from its first folder to its exit status.

    Args:
        replicas: how many runs of a sweep are trained together.
    """

    def __init__(self, replicas: int = 1) -> None:
        self.replicas = replicas
        self.sweep: Sweep | None = None
        self.new_folders: list[Path] = []
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
            command()
            for group in in_groups(self._waiting, self.replicas):
                self._attempt(group, 1, RunMode.MULTIRUN)
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
        settings = HydraConfig.get()
        mode = settings.mode or RunMode.RUN
        folder = RunFolder(Path(settings.runtime.output_dir))
        explains = mode == RunMode.RUN or settings.job.num == 0
        request = Request(config, own_overrides(settings.overrides.task), folder, explains=explains)
        if self.replicas > 1:
            self._waiting.append(request)
            return None
        try:
            self._attempt([request], _jobs_at_once(settings), mode)
        except KeyboardInterrupt:  # Ctrl-C came before the run handled signals itself
            folder.remove_if_unused(self.new_folders)
            raise
        except Exception as error:
            folder.remove_if_unused(self.new_folders)
            self._refused = error  # ``run`` raises the error later; here Hydra would add its own lines
            return None
        return self._outcomes[-1].metrics.get("val/loss")

    def _attempt(self, requests: Sequence[Request], jobs: int, mode: RunMode) -> None:
        """Train. If a job of a sweep fails, its error becomes the job's outcome, and the sweep goes on."""
        try:
            outcomes = train(requests, jobs)
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
                if outcome.status == "interrupted":  # a signal to one job stops the whole sweep
                    raise SystemExit(outcome.exit_code)

    def _clean_up(self, *, interrupted: bool = False) -> None:
        for request in self._waiting:  # requests that have not started
            request.folder.remove_if_unused([request.folder.path])
        if self.sweep is not None and not self.sweep.discard_if_unused() and interrupted:
            self.sweep.end(interrupted=True)


_session: ContextVar[SweepSession] = ContextVar("session")


def session() -> SweepSession:
    """The session of this process. A process that a launcher started gets a new session."""
    if _session.get(None) is None:
        _session.set(SweepSession())
    return _session.get()


@contextmanager
def new_session(replicas: int) -> Iterator[SweepSession]:
    """Make a new session the session of this process inside the ``with`` statement."""
    token = _session.set(SweepSession(replicas))
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

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        sweep = session().sweep = Sweep.start(config)
        if sweep.tracker is not None:
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.overrides.hydra.append(f"++{PARENT}={sweep.tracker.run_id()}")


def _jobs_at_once(settings: Any) -> int:
    """How many jobs Hydra's launcher runs at the same time on this machine."""
    number = int(settings.launcher.get("n_jobs") or 1)
    return number if number > 0 else processors()
