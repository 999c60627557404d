"""Train the runs that were requested, and record them from start to end."""

from __future__ import annotations

import os
import platform
import shutil
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from .. import __version__
from ..api import Array
from ..config import Root, flat, read_root
from ..files import write_text
from ..outputs import store_uri
from ..tracking.client import MLflowTracker, NoTracker, RunTracker, TrackingError, worker
from ..tracking.messages import End, ModelInterface, Start, data_parts, model_interface
from ..training.lockstep import Lockstep
from ..training.network import Network
from ..training.predictor import save_model
from ..training.trainer import Diverged, Interrupted, Trainer
from .build import PROGRESS, blas_threads, build_trainer
from .compose import usage_error
from .folder import CONFIG, OVERRIDES, STATUS, UNDERSTOOD, UNRECORDED
from .request import Request
from .signals import on_signal
from .terminal import new_console


@dataclass
class Outcome:
    """How a run ended.

    Args:
        status: a key of ``STATUS``.
        metrics: the metrics reached.
        error: why the run did not finish, or what went wrong after it had finished.
        exit_code: the exit status of a command that trains this run alone.
        signum: the number of a signal that asked to stop, perhaps only after the run had been trained.
    """

    status: str
    metrics: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    exit_code: int = 0
    signum: int | None = None


def train(requests: Sequence[Request], jobs: int = 1, signals: Sequence[int] = ()) -> list[Outcome]:
    """Run one experiment, or train several together that differ only in seed and learning rate.

    Args:
        requests: the experiments to run.
        jobs: how many processes train at the same time on this machine. With ``threads=auto``, they share the
            processors equally.
        signals: the numbers of signals that came before the runs could handle them; read when the runs start.

    Raises:
        UsageError: a request is wrong; nothing was started and nothing was recorded.
    """
    roots = [read_root(request.config) for request in requests]
    with ExitStack() as stack:
        for request in requests:
            request.folder.acquire()
            stack.callback(request.folder.release)
            stack.callback(shutil.rmtree, request.folder.encoded, ignore_errors=True)
        threads = stack.enter_context(blas_threads(roots[0].threads, jobs))
        stack.enter_context(np.errstate(all="ignore"))  # the trainer checks for non-finite values itself
        runs: list[_Run] = []
        for root, request in zip(roots, requests, strict=True):
            tracker = _tracker(root, request)
            first = runs[0].trainer if runs else None
            trainer = build_trainer(root, request, threads, tracker=tracker, first=first)
            runs.append(_Run(root, request, trainer, tracker))
        lockstep = Lockstep([run.trainer for run in runs], roots[0].engine)

        def interrupt(number: int) -> None:
            for run in runs:
                run.trainer.interrupt(number)

        stack.enter_context(on_signal(interrupt, once=True))
        for number in signals:
            interrupt(number)
        for run in runs:
            run.start(threads, together=len(runs))
        by_trainer = {run.trainer: run for run in runs}
        outcomes = {}
        for ended in lockstep.run():
            now = time.perf_counter()
            for trainer, error in ended:
                outcomes[trainer] = by_trainer[trainer].end(error, now)
        return [outcomes[run.trainer] for run in runs]


def _tracker(root: Root, request: Request) -> RunTracker:
    if root.tracking["name"] != "mlflow":
        return NoTracker()
    worker()  # the worker imports MLflow while this process reads the data
    return MLflowTracker(request.folder.path)


class _Run:
    """A run whose trainer is built: records its start, its end and its results."""

    def __init__(self, root: Root, request: Request, trainer: Trainer, tracker: RunTracker) -> None:
        self.root, self.trainer, self._tracker = root, trainer, tracker
        self._overrides, self._folder = list(request.overrides), request.folder
        self._explains = request.explains
        self._console = new_console(soft_wrap=True, quiet=PROGRESS not in root.callbacks)
        self._began = 0.0

    def _say(self, line: str) -> None:
        """Print a line. If the terminal or pipe has been closed, the run continues and prints nothing."""
        try:
            self._console.print(line)
        except OSError:
            self._console.quiet = True

    def start(self, threads: int, together: int) -> None:
        """Record the start of the run. Of runs that are trained together, only the first prints a line."""
        configuration = self.trainer.about["config"]
        data, versions = data_parts(self.trainer.data), self._versions(threads)
        self._write_start(
            name=self.root.run_name,
            overrides=self._overrides,
            seed=self.root.seed,
            data={part.context: part.digest for part in data},
            versions=versions,
        )
        summary = self.trainer.data.summary
        tracking = self.root.tracking
        self._tracker.start(
            Start(
                uri=store_uri(tracking.get("uri")),
                experiment=tracking.get("experiment", ""),
                name=self.root.run_name or " ".join(self._overrides) or "defaults",
                tags=self._tags(versions, together),
                params=flat({key: configuration[key] for key in configuration if key not in UNRECORDED}),
                data=data,
                parent=tracking.get("parent"),
                run_id=self._folder.mlflow_run(),
            )
        )
        # A continued run sends its earlier values again, because the store may lack some of them.
        for step, name, value in self.trainer.history.rows():
            self._tracker.log_metrics(step, {name: value})
        if together == 1 or PROGRESS in self.trainer.callbacks:
            self._say(_headline(self.trainer, threads, together))
            for line in summary.lines() if summary is not None and self._explains else ():
                self._say(line)
        self._began = time.perf_counter()

    def _write_start(self, **record: Any) -> None:
        """Write the files about the start. The record is the last: it makes the folder a run's folder."""
        path, summary = self._folder.path, self.trainer.data.summary
        write_text(path / CONFIG, OmegaConf.to_yaml(OmegaConf.create(self.trainer.about["config"])))
        write_text(path / OVERRIDES, OmegaConf.to_yaml(OmegaConf.create(self._overrides)))
        if summary is not None:
            write_text(path / UNDERSTOOD, summary.page())
        self._folder.write(status="running", started=time.time(), **record)

    def _versions(self, threads: int) -> dict[str, str]:
        """Versions and settings that, besides configuration and data, may change the last bits of results."""
        return {
            "version": __version__,
            "engine": self.trainer.engine.name,
            "threads": str(threads),
            "numpy": np.__version__,
            "python": platform.python_version(),
            "machine": f"{platform.machine()} {platform.processor()}".strip(),
        }

    def _tags(self, versions: Mapping[str, str], together: int) -> dict[str, str]:
        tags = {
            "mlpframe.status": "running",
            "mlpframe.overrides": " ".join(self._overrides),
            **{f"mlpframe.{key}": value for key, value in versions.items()},
            **self.root.tags,
        }
        if together > 1:
            tags["mlpframe.replicas"] = str(together)
        if "started_from" in self.trainer.about:
            tags["mlpframe.started_from"] = self.trainer.about["started_from"]
        if self.trainer.step:
            tags["mlpframe.resumed_from"] = f"step {self.trainer.step}"
        return tags

    def end(self, error: BaseException | None, now: float) -> Outcome:
        """Write the results into the folder, send them to the tracker, and print the metrics reached.

        Args:
            error: the error that ended the run early; ``None`` if the run trained to its end.
            now: when training ended, in seconds of ``time.perf_counter``.
        """
        arrays: dict[str, Array] = {}
        model = None
        try:
            if error is None:
                arrays = self._finish()
            self.trainer.history.write_csv(self._folder.path / "history" / "history.csv")
            if error is None:
                model = self._save_model()
        except Exception as finish_error:
            error = error or finish_error
        seconds = now - self._began
        outcome = self._outcome(error)
        if not isinstance(self._tracker, NoTracker):
            self._draw(arrays)
        if outcome.status == "finished":
            updates = f"{self.trainer.step:,} updates, {seconds:.1f} s"
            self._say(f"reached {_reached(outcome.metrics)} in {updates}")
            if self.trainer.stop_reason:
                self._say(f"stopped after epoch {self.trainer.epoch}: {self.trainer.stop_reason}")
        self._record(outcome, model)
        self._say(f"files   {os.path.relpath(self._folder.path)}")
        if outcome.status in ("interrupted", "failed") and self._folder.checkpoint.exists():
            self._say(f"to continue: python -m mlpframe resume={os.path.relpath(self._folder.path)}")
        try:
            self._folder.write(
                status=outcome.status, metrics=outcome.metrics, error=outcome.error, seconds=seconds
            )
        except OSError as record_error:  # the next command that looks at the run records it as killed
            outcome.exit_code = outcome.exit_code or 1
            outcome.error = outcome.error or str(usage_error(record_error))
        outcome.signum = self.trainer.signum
        return outcome

    def _save_model(self) -> ModelInterface:
        trainer = self.trainer
        with trainer.updater.evaluated():
            save_model(
                self._folder.path / "model" / "model.npz",
                trainer.network,
                trainer.data,
                self.root.model,
                self.trainer.about["config"]["loss"],
            )
        return model_interface(trainer.data, trainer.step, scores=trainer.network.loss.predicts_scores)

    def _finish(self) -> dict[str, Array]:
        """Evaluate the test part. Returns the values of metrics that are arrays, by the metric's name."""
        trainer = self.trainer
        trainer.finish()
        part = trainer.data.test or trainer.data.validation
        return trainer.arrays_at_end(part) if part else {}

    def _draw(self, arrays: Mapping[str, Array]) -> None:
        """Draw the figures of the run."""
        # Matplotlib takes as long to import as a short run, so it is imported only at the end.
        from ..figures.run import draw_arrays, draw_run

        trainer, folder = self.trainer, self._folder.path / "figures"
        columns = {name: trainer.metrics[name].columns for name in arrays}
        try:
            draw_run(trainer.history, folder)
            draw_arrays(arrays, trainer.data.splits.class_names, columns, folder)
        except OSError as error:  # a run keeps its results on a disk that is too full for figures
            self._say(f"the figures could not be drawn: {error.strerror}")

    def _record(self, outcome: Outcome, model: ModelInterface | None) -> None:
        """Send the results to the tracker. If the tracker cannot record them, the outcome gets the error."""
        files = ["config", "data", "history", "figures", "checkpoints"]
        tags = {"mlpframe.status": outcome.status}
        try:
            end = End(STATUS[outcome.status], tags, files, model, self.root.register if model else None)
            recorded = self._tracker.end(end)
        except TrackingError as tracking_error:
            outcome.exit_code = outcome.exit_code or 1
            outcome.error = outcome.error or (
                f"MLflow did not record the run: {tracking_error}; all results are in {self._folder.path}"
            )
            return
        if recorded:
            self._say(f"MLflow run {recorded['run_id']}; open it with: python -m mlpframe ui")
            if "registered" in recorded:
                self._say(f"registered as {recorded['registered']}")

    def _outcome(self, error: BaseException | None) -> Outcome:
        metrics = {name: value for name, value in self.trainer.latest.items() if isfinite(value)}
        match error:
            case None:
                return Outcome("finished", metrics)
            case Diverged():
                return Outcome("diverged", metrics, str(error), 1)
            case Interrupted():
                return Outcome("interrupted", metrics, str(error), 128 + error.signum)
            case OSError() if error.filename is not None:  # a full disk, or a folder that became read-only
                words = f"{error.filename} cannot be written or read: {error.strerror}"
            case _:
                words = f"{type(error).__name__}: {error}"
        file = self._folder.path / "error.txt"
        with suppress(OSError):
            write_text(file, "".join(traceback.format_exception(error)))
            words += f" (the traceback is in {file})"
        return Outcome("failed", metrics, words, 1)


def _headline(trainer: Trainer, threads: int, together: int) -> str:
    network = trainer.network
    resumed = f", continued from step {trainer.step:,}" if trainer.step else ""
    replicas = f", {together} replicas" if together > 1 else ""
    return (
        f"{trainer.title}: {'-'.join(map(str, _widths(network)))}, {network.w.size:,} parameters, "
        f"{len(trainer.data.train):,} training rows, engine {trainer.engine.name}, "
        f"{threads} thread{'s' * (threads > 1)}{replicas}{resumed}"
    )


def _widths(network: Network) -> list[int]:
    return [network.n_in] + [
        width
        for layer, n_in, width in zip(network.layers, network.widths, network.widths[1:], strict=False)
        if layer.parameters(n_in)
    ]


def _reached(metrics: Mapping[str, float]) -> str:
    shown = [name for name in metrics if name.startswith(("val/", "test/"))] or ["train/loss"]
    return ", ".join(f"{name} {metrics[name]:.4f}" for name in shown if name in metrics)
