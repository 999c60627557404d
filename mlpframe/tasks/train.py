"""The command without a name: one experiment, from its configuration to a finished run."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import isfinite
from types import FrameType
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from threadpoolctl import threadpool_limits

from .. import __version__, checkpoint
from ..api import Loss, UsageError
from ..config import Root, flat, read_root
from ..data import Data, data_folder, describe, load_data
from ..engines import create_engine
from ..models import create_layers
from ..network import Network
from ..optim import Updater
from ..predictor import save_model
from ..registry import registries
from ..rng import Streams
from ..tracking.client import MLflowTracker, NoTracker, TrackingError, store_uri, worker
from ..trainer import Diverged, Interrupted, Settings, Tracker, Trainer
from .folder import STATUS, RunFolder

FREE = ("resume", "epochs", "threads", "data_dir", "run_name", "tags", "tracking")
"""What may differ between a run and its continuation."""


UNRECORDED = ("tracking", "tags", "resume", "run_name")
"""What says how a run is recorded, not what is run."""


@dataclass
class Outcome:
    """How a run ended."""

    status: str
    metrics: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    exit_code: int = 0


def train(config: DictConfig, overrides: Sequence[str], folder: RunFolder, jobs: int = 1) -> Outcome:
    """Run one experiment in a folder.

    Args:
        config: composed, not yet checked.
        overrides: what a person has set, for the record.
        folder: where the run leaves its files.
        jobs: how many run side by side; with ``threads=auto`` they divide the processors.

    Raises:
        UsageError: the request was wrong; nothing was started and nothing was recorded.
    """
    root = read_root(config)
    folder.acquire()
    try:
        with (
            _blas_threads(root.threads, jobs) as threads,
            np.errstate(all="ignore"),
        ):  # divergence is looked for
            trainer = _prepare(root, overrides, folder, threads)
            return _run(root, overrides, folder, trainer, _tags(root, overrides, trainer, threads))
    finally:
        folder.release()


@contextmanager
def _blas_threads(threads: int | str, jobs: int) -> Iterator[int]:
    """Limit BLAS to a number of threads, or to this job's share of the processors; yields the number.

    One processor is left to the tracking process: BLAS threads that wait for each other stop whenever one
    of them has to share its processor.
    """
    free = max(1, len(os.sched_getaffinity(0)) - 1)
    number = max(1, free // jobs) if threads == "auto" else int(threads)
    with threadpool_limits(number, user_api="blas"):
        yield number


def _prepare(root: Root, overrides: Sequence[str], folder: RunFolder, threads: int) -> Trainer:
    """Build the run. All that can be wrong with a request is found here, before anything is recorded."""
    loss: Loss = registries["loss"].create(root.loss)
    optimizer = registries["optimizer"].create(root.optimizer)
    schedule = registries["schedule"].create(root.schedule)
    dataset = registries["dataset"].create(root.dataset)
    metrics = {name: registries["metric"].create(options) for name, options in root.metrics.items()}
    callbacks = {name: registries["callback"].create(options) for name, options in root.callbacks.items()}
    tracker: Tracker = NoTracker()
    if root.tracking["name"] == "mlflow":
        tracker = MLflowTracker(folder.path)
        worker()  # imports MLflow while the data are read

    streams = Streams(root.seed)
    dtype = str(root.dtype.value)
    data = load_data(dataset, data_folder(root.data_dir), dtype, streams, final=root.final)
    network = _build_network(root, data, loss, dtype, streams)
    updater = Updater(optimizer, network)
    trainer = Trainer(
        network=network,
        updater=updater,
        schedule=schedule,
        engine=create_engine(root.engine, network, updater, root.batch_size),
        data=data,
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
        about={"config": plain(root), "overrides": list(overrides), "threads": threads},
    )
    if root.resume and folder.checkpoint.exists():
        arrays, meta = checkpoint.load(folder.checkpoint)
        _check_same(meta["about"]["config"], plain(root))
        trainer.restore(arrays, meta)
    for callback in callbacks.values():
        callback.check(trainer)
    return trainer


def _build_network(root: Root, data: Data, loss: Loss, dtype: str, streams: Streams) -> Network:
    task, outputs = data.splits.task, data.splits.n_outputs
    if task not in loss.tasks:
        losses = registries["loss"]
        fitting = [name for name in losses.names() if task in losses[name].tasks]  # type: ignore[attr-defined]
        raise UsageError(
            f"loss={loss.name} is for {' and '.join(loss.tasks)}, but dataset={data.name} is a {task}; "
            f"losses for that: {', '.join(fitting)}"
        )
    layers = create_layers(root.model, outputs)
    network = Network(layers, loss, data.train.x.shape[1], data.train.y, dtype, streams)
    if network.widths[-1] != outputs:
        raise UsageError(
            f"the model has {network.widths[-1]} outputs, but dataset={data.name} needs {outputs}"
        )
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


def _tags(root: Root, overrides: Sequence[str], trainer: Trainer, threads: int) -> dict[str, str]:
    tags = {
        "mlpframe.status": "running",
        "mlpframe.engine": trainer.engine.name,
        "mlpframe.version": __version__,
        "mlpframe.overrides": " ".join(overrides),
        "mlpframe.threads": str(threads),
        "mlpframe.numpy": np.__version__,
        "mlpframe.python": platform.python_version(),
        "mlpframe.machine": f"{platform.machine()} {platform.processor()}".strip(),
        **root.tags,
    }
    if trainer.step:
        tags["mlpframe.resumed_from"] = f"step {trainer.step}"
    return tags


def _run(
    root: Root, overrides: Sequence[str], folder: RunFolder, trainer: Trainer, tags: dict[str, str]
) -> Outcome:
    """Train, and record what came of it whatever happens."""
    configuration = plain(root)
    say = Console(highlight=False, soft_wrap=True, quiet="progress" not in root.callbacks).print
    folder.write(status="running", overrides=list(overrides), seed=root.seed)
    (folder.path / "config").mkdir(exist_ok=True)
    OmegaConf.save(OmegaConf.create(configuration), folder.path / "config" / "config.yaml")
    OmegaConf.save(OmegaConf.create(list(overrides)), folder.path / "config" / "overrides.yaml")
    tracker = trainer.tracker
    tracker.start(
        {
            "uri": store_uri(root.tracking.get("uri")),
            "experiment": root.tracking.get("experiment"),
            "parent": root.tracking.get("parent"),
            "run_id": folder.mlflow_run(),
            "name": root.run_name or " ".join(overrides) or "defaults",
            "tags": tags,
            "params": flat({key: configuration[key] for key in configuration if key not in UNRECORDED}),
            "data": describe(trainer.data),
        }
    )
    for step, name, value in trainer.history.rows():  # of a continued run: what the store lacks is added
        tracker.log_metrics(step, {name: value})
    say(_headline(trainer, tags))

    began = time.perf_counter()
    outcome = Outcome("finished")
    try:
        with _signals(trainer):
            trainer.fit()
        trainer.finish()
    except Diverged as error:
        outcome = Outcome("diverged", error=f"{error}; a smaller lr may help", exit_code=1)
    except Interrupted as error:
        outcome = Outcome("interrupted", error=str(error), exit_code=128 + error.signum)
    except Exception as error:
        (folder.path / "error.txt").write_text(traceback.format_exc())
        reason = f"{type(error).__name__}: {error} (more in {folder.path / 'error.txt'})"
        outcome = Outcome("failed", error=reason, exit_code=1)
    seconds = time.perf_counter() - began
    outcome.metrics = {name: value for name, value in trainer.latest.items() if isfinite(value)}
    return _record(root, folder, trainer, outcome, seconds, say)


def _record(
    root: Root, folder: RunFolder, trainer: Trainer, outcome: Outcome, seconds: float, say: Any
) -> Outcome:
    """Write the results into the folder, hand them to the tracker, and say what was reached."""
    trainer.history.write_csv(folder.path / "history" / "history.csv")
    results: dict[str, Any] = {
        "tags": {"mlpframe.status": outcome.status},
        "files": ["config", "history", "figures", "checkpoints"],
    }
    if outcome.status == "finished":
        file = folder.path / "model" / "model.npz"
        results["model"] = save_model(file, trainer.network, trainer.data, root.model, root.loss)
        results["class_names"] = trainer.data.splits.class_names
        part = trainer.data.test or trainer.data.validation
        arrays = trainer.arrays_at_end(part) if part else {}
        results["arrays"] = {name: array.tolist() for name, array in arrays.items()}
        say(f"reached {_reached(outcome.metrics)} in {trainer.step:,} updates, {seconds:.1f} s")
        if trainer.stop_reason:
            say(f"stopped after epoch {trainer.epoch}: {trainer.stop_reason}")
    try:
        recorded = trainer.tracker.end(STATUS[outcome.status], results)
        if recorded:
            say(f"MLflow run {recorded['run_id']}; to look at it: python -m mlpframe ui")
    except TrackingError as error:
        outcome.exit_code = outcome.exit_code or 1
        outcome.error = (
            outcome.error or f"MLflow did not record the run: {error}; all of it is in {folder.path}"
        )
    say(f"files   {os.path.relpath(folder.path)}")
    folder.write(status=outcome.status, metrics=outcome.metrics, error=outcome.error, seconds=seconds)
    return outcome


def _headline(trainer: Trainer, tags: Mapping[str, str]) -> str:
    network = trainer.network
    threads = int(tags["mlpframe.threads"])
    resumed = f", continued from step {trainer.step:,}" if trainer.step else ""
    return (
        f"{trainer.title}: {'-'.join(map(str, _widths(network)))}, {network.w.size:,} parameters, "
        f"{len(trainer.data.train):,} training rows, engine {trainer.engine.name}, "
        f"{threads} thread{'s' * (threads > 1)}{resumed}"
    )


def _widths(network: Network) -> list[int]:
    return [network.n_in] + [
        width for layer, width in zip(network.layers, network.widths[1:], strict=True) if layer.parameters(1)
    ]


def _reached(metrics: Mapping[str, float]) -> str:
    shown = [name for name in metrics if name.startswith(("val/", "test/"))] or ["train/loss"]
    return ", ".join(f"{name} {metrics[name]:.4f}" for name in shown if name in metrics)


@contextmanager
def _signals(trainer: Trainer) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop the run with its state saved; a second one stops it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, _: FrameType | None) -> None:
        trainer.interrupt(number)
        signal.signal(number, signal.SIG_DFL)

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
