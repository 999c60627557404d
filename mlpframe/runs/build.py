"""Turn a checked configuration into a trainer that is ready to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ..api import Loss, Schedule, UsageError
from ..api.component import Task
from ..config import Root, flat, typed
from ..machine import processors
from ..registry import registries
from ..training import checkpoint
from ..training.build import DEFAULT_LOSS, build_network
from ..training.data.pipeline import Pipeline
from ..training.data.prepare import Data, data_folder, load_data, same
from ..training.engines import create_engine
from ..training.lockstep import STACKED
from ..training.network import Network
from ..training.optim import Updater
from ..training.predictor import Predictor
from ..training.rng import Streams
from ..training.trainer import Settings, Tracker, Trainer
from .finding import find_model
from .request import Request

FREE = ("resume", "epochs", "metrics", "threads", "data_dir", "run_name", "tags", "tracking", "register")
"""The settings that may differ between a run and its continuation."""
PROGRESS = "progress"
"""The callback that shows a run's progress. Without this callback, a command prints only errors."""


@contextmanager
def blas_threads(threads: int | str, jobs: int) -> Iterator[int]:
    """Limit BLAS to ``threads`` threads inside the ``with`` statement. Yields the number of threads.

    With ``threads="auto"``, all processors but one are divided equally among the ``jobs``. One processor is
    left to the tracking process, because BLAS threads wait for each other: if one thread had to share its
    processor, all threads would be slower.
    """
    free = max(1, processors() - 1)
    number = max(1, free // jobs) if threads == "auto" else int(threads)
    with threadpool_limits(number, user_api="blas"):
        yield number


def build_trainer(
    root: Root,
    request: Request,
    threads: int,
    *,
    tracker: Tracker,
    first: Trainer | None = None,
    schedule: Schedule | None = None,
    validate: bool = True,
) -> Trainer:
    """Build the run. Every mistake in a request is found here, before anything is recorded.

    Args:
        root: the checked configuration of the run.
        request: the experiment as it was requested.
        threads: the number of BLAS threads, which is recorded with the run.
        tracker: records the metrics.
        first: the first of several trainers that run together; ``None`` if this trainer is the first or the
            only one. Only the first trainer shows progress. A later trainer with equal data shares the
            arrays of the first trainer.
        schedule: replaces the configuration's schedule.
        validate: whether the validation part is evaluated after each epoch.
    """
    folder = request.folder
    optimizer = registries["optimizer"].create(root.optimizer)
    schedule = schedule or registries["schedule"].create(root.schedule)
    dataset = request.dataset or registries["dataset"].create(root.dataset)
    metrics = {name: registries["metric"].create(options) for name, options in root.metrics.items()}
    callbacks = {
        name: registries["callback"].create(options)
        for name, options in root.callbacks.items()
        if first is None or name != PROGRESS
    }
    streams = Streams(root.seed)
    dtype = str(root.dtype.value)
    loss: Loss | None = None if root.loss is None else registries["loss"].create(root.loss)
    data = load_data(
        dataset,
        data_folder(root.data_dir),
        dtype,
        streams,
        final=root.final,
        scale_target=loss is None or loss.measures_distance,
        scratch=folder.encoded,
    )
    if root.loss is not None and root.loss.get("class_weights") == "balanced":
        root = replace(root, loss={**root.loss, "class_weights": _balanced(data)})
        loss = registries["loss"].create(root.loss)
    if loss is None:
        root = replace(root, loss=typed("loss", "loss", DEFAULT_LOSS[data.splits.task], {}))
        loss = registries["loss"].create(root.loss)
    if first is not None and same(data, first.data):
        data = first.data
    if not validate:
        data = replace(data, validation=None)
    transforms = {name: registries["transform"].create(options) for name, options in root.transforms.items()}
    pipeline = Pipeline(transforms, data.splits, streams)
    network = build_network(root.model, data, loss, dtype, streams, mixed=pipeline.mixes)
    continues = bool(root.resume) and folder.checkpoint.exists()
    about = {"config": plain(root), "overrides": list(request.overrides), "threads": threads}
    if root.start_from and not continues:
        about["started_from"] = start_from(network, root.start_from, root.tracking.get("uri"))
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
        about=about,
    )
    if continues:
        _restore(trainer, folder.checkpoint, root)
    for callback in callbacks.values():
        callback.check(trainer)
    return trainer


def _restore(trainer: Trainer, file: Path, root: Root) -> None:
    """Continue from a checkpoint. Raises ``UsageError`` if it is damaged, or of another configuration."""
    arrays, meta = checkpoint.load(file)
    old = meta["format"] < 2
    form = {"dataset": {"standardize": bool}} if old else dict
    checkpoint.check_values(f"checkpoint {file}", meta, {"about": {"config": form}})
    before = meta["about"]["config"]
    check_same(converted(before, trainer.data.splits.task) if old else before, plain(root))
    if STACKED in meta["about"]:
        trainer.about[STACKED] = meta["about"][STACKED]
    try:
        trainer.restore(arrays, meta)
    except UsageError as error:
        raise UsageError(f"checkpoint {file} cannot be continued: {str(error)[:400]}") from error


def _balanced(data: Data) -> list[float]:
    """A weight for every class, so that each class as a whole counts as much in the loss as any other."""
    if data.splits.task != "classification":
        raise UsageError(
            f"class_weights=balanced needs one class for each row, but dataset={data.name} is a "
            f"{data.splits.task}; see positive_weight of loss=binary_cross_entropy"
        )
    counts = np.bincount(data.train.y, minlength=data.splits.n_outputs)
    weights = len(data.train) / (len(counts) * np.maximum(counts, 1))
    return [float(weight) for weight in np.where(counts > 0, weights, 0)]


def start_from(network: Network, name: str, uri: str | None) -> str:
    """Give a network the weights of the run, registered model or model file ``name``.

    Args:
        network: the new network.
        name: as ``find_model`` takes it.
        uri: the MLflow store in which to look for a model that is not on this machine.

    Returns:
        The id of the run if it has one, else its folder, or the name of the registered model or file.

    Raises:
        UsageError: there is no such model, or its parameters have other names or shapes.
    """
    try:
        file, folder = find_model(name, uri)
        predictor = Predictor(file)
    except UsageError as error:
        raise UsageError(f"start_from={error}") from error
    here, there = {**network.views(network.w), **network.state}, predictor.arrays()
    for key in {**here, **there}:
        if key not in there or key not in here:
            holder, other = ("this run's", "that") if key in here else ("that", "this run's")
            raise UsageError(
                f"start_from={name}: {holder} model has the parameter {key}, and {other} model has not"
            )
        if here[key].shape != there[key].shape:
            raise UsageError(
                f"start_from={name}: the parameter {key} has the shape {here[key].shape} in this run's model "
                f"and {there[key].shape} in that model"
            )
        here[key][...] = there[key]
    return name if folder is None else folder.mlflow_run() or str(folder.path)


def plain(root: Root) -> dict[str, Any]:
    """The configuration as plain values."""
    return {**asdict(root), "dtype": root.dtype.value}


def converted(config: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """Convert the configuration of a run that format 1 recorded. In format 1, targets were never scaled."""
    dataset = dict(config["dataset"])
    dataset["scaling"] = "standard" if dataset.pop("standardize") else "none"
    scale_target = False if task == "regression" else None
    return {**config, "dataset": {**dataset, "folds": 0, "fold": 0, "scale_target": scale_target}}


def check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    old, new = (
        flat({key: value for key, value in config.items() if key not in FREE}) for config in (before, now)
    )
    for key in {**old, **new}:
        if old.get(key) != new.get(key):
            raise UsageError(
                f"a continued run keeps its configuration, but {key} was {old.get(key)} and is now "
                f"{new.get(key)}; settings that may change: {', '.join(FREE)}"
            )
