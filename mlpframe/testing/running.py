"""A small run, outside of any command, for checks that train."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..api import Array, Callback, Layer, Loss, Optimizer, Schedule, Splits, Table
from ..api.component import Task
from ..registry import registries
from ..training.data.pipeline import Pipeline
from ..training.data.prepare import Data
from ..training.data.table import Encoder
from ..training.lockstep import Lockstep
from ..training.network import Network
from ..training.optim import Updater
from ..training.rng import Streams
from ..training.trainer import Settings, Trainer

ROWS, BATCH, EPOCHS = 23, 5, 3
"""An epoch has four batches of five rows and one batch of three rows."""
N_IN, WIDTH, N_OUT = 4, 4, 3


class NoTracker:
    """A tracker that records nothing."""

    def start(self, about: Mapping[str, Any]) -> None: ...

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None: ...

    def end(self, status: str, results: Mapping[str, Any]) -> dict[str, Any]:
        return {}


class Saving(Callback):
    """Saves the run after update 8, in the middle of an epoch."""

    name = "saving"
    step = 8

    def on_window(self, run: Any) -> None:
        if run.step == self.step:
            run.save("middle")


def draw_data(task: Task = "classification") -> Data:
    """Data that can be learned: four features, and three classes or three values between 0 and 1.

    For multilabel, a row belongs to any number of the three classes.
    """
    rng = np.random.default_rng(0)
    direction = rng.standard_normal((N_IN, N_OUT))

    def table(n: int) -> Table:
        x = rng.standard_normal((n, N_IN))
        scores = x @ direction
        if task == "multilabel":
            return Table(x, (scores > 0).astype(np.float64))
        return Table(x, scores.argmax(1) if task == "classification" else 1 / (1 + np.exp(-scores)))

    train, held = table(ROWS), table(40)
    names = () if task == "regression" else ("a", "b", "c")
    return Data("drawn", Splits(train, held, class_names=names), train, held, None, Encoder())


def default(kind: str, name: str, **options: Any) -> Any:
    return registries[kind].create(name, **options)


def layers_for(loss: Loss, task: Task, middle: Layer | None = None) -> list[Layer]:
    """The layers of a small network: linear, ``middle``, linear, and a last layer if the loss needs one.

    The last layer turns the outputs into numbers that the loss accepts, such as probabilities.
    """
    layers = [
        default("layer", "linear", units=WIDTH),
        middle or default("layer", "tanh"),
        default("layer", "linear", units=N_OUT),
    ]
    if task == "regression":
        return [*layers, default("layer", "sigmoid")]
    if task == "multilabel":
        return layers if takes_any_output(loss) else [*layers, default("layer", "sigmoid")]
    return layers if takes_logits(loss) else [*layers, default("layer", "softmax")]


def takes_logits(loss: Loss) -> bool:
    """Whether the loss accepts logits, which it turns into probabilities itself."""
    read: Array = loss.predict(np.array([[2.0, -3.0, 0.5]]))
    return bool(np.isclose(read.sum(), 1) and (read >= 0).all())


def takes_any_output(loss: Loss) -> bool:
    """Whether the loss turns each output into a probability of its own."""
    read: Array = loss.predict(np.array([[2.0, -3.0, 0.5]]))
    return bool(((read >= 0) & (read <= 1)).all())


def make_run(
    folder: Path,
    *,
    layer: Layer | None = None,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    schedule: Schedule | None = None,
    callbacks: Mapping[str, Callback] | None = None,
    dtype: str = "float32",
    task: Task | None = None,
) -> Trainer:
    """A run of three epochs, with defaults for all components that are not given.

    The default of ``task`` is classification if the loss supports this task, else the loss's first task.
    """
    loss = loss or default("loss", "cross_entropy")
    task = task or ("classification" if "classification" in loss.tasks else loss.tasks[0])
    data, streams = draw_data(task), Streams(0)
    train, validation = _cast(data.train, dtype), _cast(data.validation, dtype)
    data = Data("drawn", data.splits, train, validation, None, Encoder())
    network = Network(layers_for(loss, task, layer), loss, N_IN, data.train.y, dtype, streams)
    optimizer = optimizer or default("optimizer", "sgd")
    updater = Updater(optimizer, network)
    engine = default("engine", "numpy")
    engine.bind(network, updater)
    metrics = {"accuracy": default("metric", "accuracy")} if task == "classification" else {}
    return Trainer(
        network=network,
        updater=updater,
        schedule=schedule or default("schedule", "constant"),
        engine=engine,
        data=data,
        pipeline=Pipeline({}, data.splits, streams),
        metrics=metrics,
        callbacks={"saving": Saving(), **(callbacks or {})},
        tracker=NoTracker(),
        streams=streams,
        settings=Settings(optimizer.default_lr, EPOCHS, BATCH, 2, True),
        folder=folder,
        title="a run",
        about={},
    )


def _cast(table: Table | None, dtype: str) -> Any:
    if table is None:
        return None
    return Table(table.x.astype(dtype), table.y.astype(dtype) if table.y.ndim == 2 else table.y)


def fit(run: Trainer) -> None:
    """Train a run to its end."""
    ((ended,),) = Lockstep([run]).run()
    if ended[1] is not None:
        raise ended[1]
