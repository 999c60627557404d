"""The command without a name: one experiment, from its configuration to a finished run."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from math import isfinite
from types import FrameType
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from rich.console import Console
from threadpoolctl import threadpool_limits

from .. import __version__
from ..api import Loss, UsageError
from ..config import Root, flat, read_root
from ..outputs import store_uri
from ..registry import registries
from ..tracking.client import MLflowTracker, NoTracker, TrackingError, worker
from ..tracking.messages import describe
from ..training import checkpoint
from ..training.data.pipeline import Pipeline
from ..training.data.prepare import Data, data_folder, load_data, same
from ..training.engines import create_engine
from ..training.lockstep import Lockstep
from ..training.network import Network, create_layers
from ..training.optim import Updater
from ..training.predictor import save_model
from ..training.rng import Streams
from ..training.trainer import Diverged, Interrupted, Settings, Tracker, Trainer
from .folder import STATUS
from .request import Request

FREE = ("resume", "epochs", "threads", "data_dir", "run_name", "tags", "tracking")
"""What may differ between a run and its continuation."""


UNRECORDED = ("tracking", "tags", "resume", "run_name")
"""What says how a run is recorded, not what is run."""
PROGRESS = "progress"
"""The callback that shows how far a run is; without it, a command is silent but for errors."""


@dataclass
class Outcome:
    """How a run ended."""

    status: str
    metrics: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    exit_code: int = 0


def train(requests: Sequence[Request], jobs: int = 1) -> list[Outcome]:
    """Run one experiment, or several that differ in seed and rate alone, together.

    Args:
        requests: what to run.
        jobs: how many processes like this one run side by side; with ``threads=auto`` they divide the
            processors.

    Raises:
        UsageError: a request was wrong; nothing was started and nothing was recorded.
    """
    roots = [read_root(request.config) for request in requests]
    with ExitStack() as stack:
        for request in requests:
            request.folder.acquire()
            stack.callback(request.folder.release)
        threads = stack.enter_context(blas_threads(roots[0].threads, jobs))
        stack.enter_context(np.errstate(all="ignore"))  # divergence is looked for
        runs: list[_Run] = []
        for root, request in zip(roots, requests, strict=True):
            trainer = prepare(root, request, threads, runs[0].trainer if runs else None)
            runs.append(_Run(root, request, trainer))
        lockstep = Lockstep([run.trainer for run in runs], roots[0].engine)
        for run in runs:
            run.start(threads, together=len(runs))
        stack.enter_context(_signals([run.trainer for run in runs]))
        by_trainer = {run.trainer: run for run in runs}
        outcomes = {}
        for ended in lockstep.run():
            now = time.perf_counter()
            for trainer, error in ended:
                outcomes[trainer] = by_trainer[trainer].end(error, now)
        return [outcomes[run.trainer] for run in runs]


@contextmanager
def blas_threads(threads: int | str, jobs: int) -> Iterator[int]:
    """Limit BLAS to a number of threads, or to this job's share of the processors; yields the number.

    One processor is left to the tracking process: BLAS threads that wait for each other stop whenever one
    of them has to share its processor.
    """
    free = max(1, len(os.sched_getaffinity(0)) - 1)
    number = max(1, free // jobs) if threads == "auto" else int(threads)
    with threadpool_limits(number, user_api="blas"):
        yield number


def prepare(root: Root, request: Request, threads: int, first: Trainer | None) -> Trainer:
    """Build the run. All that can be wrong with a request is found here, before anything is recorded.

    Args:
        root, request: what is wanted.
        threads: for the record.
        first: of several that run together; it is the one that shows its progress, and equal data are kept
            once.
    """
    folder = request.folder
    loss: Loss = registries["loss"].create(root.loss)
    optimizer = registries["optimizer"].create(root.optimizer)
    schedule = registries["schedule"].create(root.schedule)
    dataset = request.dataset or registries["dataset"].create(root.dataset)
    metrics = {name: registries["metric"].create(options) for name, options in root.metrics.items()}
    callbacks = {
        name: registries["callback"].create(options)
        for name, options in root.callbacks.items()
        if first is None or name != PROGRESS
    }
    tracker: Tracker = NoTracker()
    if root.tracking["name"] == "mlflow":
        tracker = MLflowTracker(folder.path)
        worker()  # imports MLflow while the data are read

    streams = Streams(root.seed)
    dtype = str(root.dtype.value)
    data = load_data(dataset, data_folder(root.data_dir), dtype, streams, final=root.final)
    if first is not None and same(data, first.data):
        data = first.data
    transforms = {name: registries["transform"].create(options) for name, options in root.transforms.items()}
    pipeline = Pipeline(transforms, data.splits, streams)
    network = _build_network(root, data, loss, dtype, streams, mixed=pipeline.mixes)
    network.learn(data.train.x)
    updater = Updater(optimizer, network)
    trainer = Trainer(
        network=network,
        updater=updater,
        schedule=schedule,
        engine=create_engine(root.engine, network, updater, root.batch_size),
        data=data,
        pipeline=pipeline,
        metrics={name: metric for name, metric in metrics.items() if data.splits.task in metric.tasks},
        callbacks=callbacks,
        tracker=tracker,
        streams=streams,
        settings=Settings(
            optimizer.default_lr if root.lr is None else root.lr,
            root.epochs,
            root.batch_size,
            root.log_every,
            root.shuffle,
        ),
        folder=folder.path,
        title=root.run_name or " ".join([data.name, optimizer.name, schedule.name]),
        about={"config": plain(root), "overrides": list(request.overrides), "threads": threads},
    )
    if root.resume and folder.checkpoint.exists():
        arrays, meta = checkpoint.load(folder.checkpoint)
        _check_same(meta["about"]["config"], plain(root))
        trainer.restore(arrays, meta)
    for callback in callbacks.values():
        callback.check(trainer)
    return trainer


def _build_network(
    root: Root, data: Data, loss: Loss, dtype: str, streams: Streams, *, mixed: bool
) -> Network:
    task, outputs = data.splits.task, data.splits.n_outputs
    if task not in loss.tasks:
        losses = registries["loss"]
        fitting = [name for name in losses.names() if task in losses[name].tasks]  # type: ignore[attr-defined]
        raise UsageError(
            f"loss={loss.name} is for {' and '.join(loss.tasks)}, but dataset={data.name} is a {task}; "
            f"losses for that: {', '.join(fitting)}"
        )
    if mixed and not loss.takes_probabilities:
        losses = registries["loss"]
        fitting = [name for name in losses.names() if losses[name].takes_probabilities]  # type: ignore[attr-defined]
        raise UsageError(
            f"a transform mixes rows, so targets are probabilities, which loss={loss.name} does not take; "
            f"losses that do: {', '.join(fitting)}"
        )
    layers = create_layers(root.model, data.splits.shapes)
    weighted = data.train.weights is not None
    n_in, y = data.train.x.shape[1], data.train.y
    network = Network(layers, loss, n_in, y, dtype, streams, weighted=weighted, mixed=mixed)
    if network.widths[-1] != outputs:
        raise UsageError(
            f"the model has {network.widths[-1]} outputs, but dataset={data.name} needs {outputs}"
        )
    network.plan(1, training=False)  # a loss whose options do not fit the number of outputs says so here
    return network


def plain(root: Root) -> dict[str, Any]:
    """The configuration as plain values."""
    return {**asdict(root), "dtype": root.dtype.value}


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    old, new = (
        flat({key: value for key, value in config.items() if key not in FREE}) for config in (before, now)
    )
    for key in {**old, **new}:
        if old.get(key) != new.get(key):
            raise UsageError(
                f"a continued run keeps its configuration, but {key} was {old.get(key)} and is "
                f"{new.get(key)}; what may change: {', '.join(FREE)}"
            )


class _Run:
    """A run that is prepared, from its first record to its last."""

    def __init__(self, root: Root, request: Request, trainer: Trainer) -> None:
        self.root, self.trainer = root, trainer
        self._overrides, self._folder = list(request.overrides), request.folder
        self._say = Console(highlight=False, soft_wrap=True, quiet=PROGRESS not in root.callbacks).print
        self._began = 0.0

    def start(self, threads: int, together: int) -> None:
        """Record what is run; with several together, the first says so for all."""
        configuration = plain(self.root)
        path = self._folder.path
        self._folder.write(status="running", overrides=self._overrides, seed=self.root.seed)
        (path / "config").mkdir(exist_ok=True)
        OmegaConf.save(OmegaConf.create(configuration), path / "config" / "config.yaml")
        OmegaConf.save(OmegaConf.create(self._overrides), path / "config" / "overrides.yaml")
        tracker, tracking = self.trainer.tracker, self.root.tracking
        tracker.start(
            {
                "uri": store_uri(tracking.get("uri")),
                "experiment": tracking.get("experiment"),
                "parent": tracking.get("parent"),
                "run_id": self._folder.mlflow_run(),
                "name": self.root.run_name or " ".join(self._overrides) or "defaults",
                "tags": self._tags(threads, together),
                "params": flat({key: configuration[key] for key in configuration if key not in UNRECORDED}),
                "data": describe(self.trainer.data),
            }
        )
        for step, name, value in self.trainer.history.rows():  # of a continued run: the store may lack some
            tracker.log_metrics(step, {name: value})
        if together == 1 or PROGRESS in self.trainer.callbacks:
            self._say(_headline(self.trainer, threads, together))
        self._began = time.perf_counter()

    def _tags(self, threads: int, together: int) -> dict[str, str]:
        tags = {
            "mlpframe.status": "running",
            "mlpframe.engine": self.trainer.engine.name,
            "mlpframe.version": __version__,
            "mlpframe.overrides": " ".join(self._overrides),
            "mlpframe.threads": str(threads),
            "mlpframe.numpy": np.__version__,
            "mlpframe.python": platform.python_version(),
            "mlpframe.machine": f"{platform.machine()} {platform.processor()}".strip(),
            **self.root.tags,
        }
        if together > 1:
            tags["mlpframe.replicas"] = str(together)
        if self.trainer.step:
            tags["mlpframe.resumed_from"] = f"step {self.trainer.step}"
        return tags

    def end(self, error: BaseException | None, now: float) -> Outcome:
        """Write the results into the folder, hand them to the tracker, and say what was reached.

        Args:
            error: what ended the run before its time.
            now: when that was, or when it came to its end.
        """
        trainer, folder, say = self.trainer, self._folder, self._say
        if error is None:
            try:
                trainer.finish()
            except Exception as late:
                error = late
        seconds = now - self._began
        outcome = self._outcome(error)
        trainer.history.write_csv(folder.path / "history" / "history.csv")
        results: dict[str, Any] = {
            "tags": {"mlpframe.status": outcome.status},
            "files": ["config", "history", "figures", "checkpoints"],
        }
        if outcome.status == "finished":
            file = folder.path / "model" / "model.npz"
            with trainer.updater.evaluated():
                results["model"] = save_model(
                    file, trainer.network, trainer.data, self.root.model, self.root.loss
                )
            results["class_names"] = trainer.data.splits.class_names
            part = trainer.data.test or trainer.data.validation
            arrays = trainer.arrays_at_end(part) if part else {}
            results["arrays"] = {name: array.tolist() for name, array in arrays.items()}
            results["columns"] = {name: trainer.metrics[name].columns for name in arrays}
            say(f"reached {_reached(outcome.metrics)} in {trainer.step:,} updates, {seconds:.1f} s")
            if trainer.stop_reason:
                say(f"stopped after epoch {trainer.epoch}: {trainer.stop_reason}")
        try:
            recorded = trainer.tracker.end(STATUS[outcome.status], results)
            if recorded:
                say(f"MLflow run {recorded['run_id']}; to look at it: python -m mlpframe ui")
        except TrackingError as refused:
            outcome.exit_code = outcome.exit_code or 1
            outcome.error = (
                outcome.error or f"MLflow did not record the run: {refused}; all of it is in {folder.path}"
            )
        say(f"files   {os.path.relpath(folder.path)}")
        folder.write(status=outcome.status, metrics=outcome.metrics, error=outcome.error, seconds=seconds)
        return outcome

    def _outcome(self, error: BaseException | None) -> Outcome:
        metrics = {name: value for name, value in self.trainer.latest.items() if isfinite(value)}
        match error:
            case None:
                return Outcome("finished", metrics)
            case Diverged():
                return Outcome("diverged", metrics, f"{error}; a smaller lr may help", 1)
            case Interrupted():
                return Outcome("interrupted", metrics, str(error), 128 + error.signum)
        file = self._folder.path / "error.txt"
        file.write_text("".join(traceback.format_exception(error)))
        return Outcome("failed", metrics, f"{type(error).__name__}: {error} (more in {file})", 1)


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


@contextmanager
def _signals(trainers: Sequence[Trainer]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop the runs with their state saved; a second one stops them at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, _: FrameType | None) -> None:
        for trainer in trainers:
            trainer.interrupt(number)
        signal.signal(number, signal.SIG_DFL)

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
