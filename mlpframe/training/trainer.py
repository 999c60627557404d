"""The loop over epochs and blocks of batches. No Hydra, no MLflow: a tracker is passed in."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, field
from math import ceil, isfinite
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..api import Array, Block, Callback, Engine, Losses, Metric, Schedule, Splits, Table, UsageError
from . import checkpoint
from .checkpoint import check_values
from .data.mapped import SHUFFLE_BYTES, shuffled
from .data.pipeline import Pipeline
from .data.prepare import Data
from .divergence import explain
from .history import History
from .network import Network, check_array, one_hot
from .optim import Updater
from .rng import Streams

BLOCK_STEPS = 1024
"""The largest number of steps in a block. A run notices signals and saves its state only between blocks."""


TIMES = "time/"
"""The beginning of the names of metrics that no run gives twice."""

Steps = Generator[Block, tuple[Losses, float], None]
"""A run as a generator: it yields the next block, and receives the block's losses and seconds."""


class Diverged(Exception):
    """A loss or a parameter is no longer a finite number.

    Args:
        what: what is no longer finite.
        advice: the likely reason, if it is known, and the setting to change.
    """

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what}.\n{advice}")
        self.what = what


class Interrupted(BaseException):
    """The run was asked to stop by a signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by signal {signum}")
        self.signum = signum


class Tracker(Protocol):
    """Receives the metrics of a run in order to record them."""

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None: ...


@dataclass(frozen=True)
class Settings:
    """The settings of the training loop, under the names that they have in an experiment's configuration."""

    lr: float
    epochs: int
    batch_size: int
    log_every: int
    shuffle: bool


@dataclass
class Mean:
    """A running mean, stored as sum and count so that a checkpoint can hold it."""

    total: float = 0.0
    count: int = 0

    def add(self, total: float, count: int) -> None:
        self.total += total
        self.count += count

    def take(self) -> float:
        """Return the mean so far, and start a new mean."""
        mean = self.total / self.count
        self.total, self.count = 0.0, 0
        return mean


@dataclass
class Progress:
    """The progress of a run: all state of the training loop itself."""

    step: int = 0
    epoch: int = 0
    epoch_seconds: float = 0.0
    correct: int = 0
    epoch_loss: Mean = field(default_factory=Mean)
    log_window: Mean = field(default_factory=Mean)
    rate_window: Mean = field(default_factory=Mean)


MEAN = {"total": float, "count": int}
STATE: dict[str, Any] = {
    "progress": {
        "step": int,
        "epoch": int,
        "epoch_seconds": float,
        "correct": int,
        "epoch_loss": MEAN,
        "log_window": MEAN,
        "rate_window": MEAN,
    },
    "updates": int,
    "schedule": dict,
    "streams": dict,
    "callbacks": dict,
}
"""The form of the plain values of a checkpoint, see ``check_values``."""


class Trainer:
    """Trains one network. Callbacks see the trainer as ``api.Run``.

    Args:
        network: the network to train.
        updater, schedule, engine: how the network is trained.
        data: the prepared data.
        pipeline: applies transforms to the training rows.
        metrics: the metrics by name, computed on the validation part after every epoch.
        callbacks: called in order at the start, after windows and epochs, and at the end.
        tracker: receives every metric as soon as it is computed.
        streams: the run's random streams; the stream ``shuffle`` orders the rows of every epoch.
        settings: the settings of the training loop.
        folder: the run's folder; checkpoints go to ``checkpoints/`` in it.
        title: the run's name in output for people.
        about: the configuration and the identity of the run; saved with every checkpoint.
    """

    def __init__(
        self,
        *,
        network: Network,
        updater: Updater,
        schedule: Schedule,
        engine: Engine,
        data: Data,
        pipeline: Pipeline,
        metrics: Mapping[str, Metric],
        callbacks: Mapping[str, Callback],
        tracker: Tracker,
        streams: Streams,
        settings: Settings,
        folder: Path,
        title: str,
        about: dict[str, Any],
    ) -> None:
        self.network, self.updater, self.schedule, self.engine = network, updater, schedule, engine
        self.data, self.metrics, self.callbacks, self.tracker = data, metrics, callbacks, tracker
        self.pipeline = pipeline
        self.streams, self.settings, self.folder, self.title, self.about = (
            streams,
            settings,
            folder,
            title,
            about,
        )
        self.history = History()
        self.progress = Progress()
        self.stop_reason: str | None = None
        self.signum: int | None = None
        self.epochs = settings.epochs
        self.steps_per_epoch = ceil(len(data.train) / settings.batch_size)
        self.total_steps = self.steps_per_epoch * settings.epochs
        self.metric_names = self._metric_names()
        self._unreleased = 0
        self._to_save: set[str] = set()
        self._unsaved_times: list[tuple[int, dict[str, float]]] = []
        self._order: np.ndarray[Any, np.dtype[np.intp]] | None = None

    # what callbacks see -------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        return self.progress.epoch

    @property
    def step(self) -> int:
        return self.progress.step

    @property
    def lr(self) -> float:
        """The learning rate of the next update; after the last update, the learning rate of that update."""
        return self.settings.lr * self.schedule.factor(min(self.step, self.total_steps - 1), self.total_steps)

    @property
    def latest(self) -> Mapping[str, float]:
        return self.history.latest

    @property
    def splits(self) -> Splits:
        return self.data.splits

    @property
    def train(self) -> Table:
        return self.data.train

    @property
    def validation(self) -> Table | None:
        return self.data.validation

    def parameters(self) -> dict[str, Array]:
        return _read_only(self.network.views(self.network.w))

    def gradients(self, rows: int) -> dict[str, Array]:
        table = self.data.train.part(slice(rows))
        if self.pipeline.mixes and table.y.ndim == 1:
            table = Table(table.x, one_hot(table.y, self.data.splits.n_outputs), table.weights)
        network = self.network
        plan = network.plan(len(table), training=True)
        streams = self.streams.state()
        state = {name: array.copy() for name, array in network.state.items()}
        plan.fill(table, np.arange(len(table)))
        plan.step()
        self.streams.restore(streams)  # computing a gradient for a callback must not change the run
        for name, array in state.items():
            network.state[name][...] = array
        return _read_only(network.views(network.g.copy()))

    def activations(self, x: Array) -> dict[str, Array]:
        with self.updater.evaluated():
            return self.network.activations(x)

    def predict(self, x: Array) -> Array:
        with self.updater.evaluated():
            return self.data.encoder.target.unscaled(self.network.loss.predict(self.network.outputs(x)))

    def log(self, values: Mapping[str, float]) -> None:
        """Record values at the current step in the run's history and in its tracker.

        The tracker gets times only after a checkpoint holds them. If the run is killed before, its
        continuation measures other times for the same steps, and the tracker would keep the old times.
        """
        self.history.add(self.step, values)
        times = {name: value for name, value in values.items() if name.startswith(TIMES)}
        self.tracker.log_metrics(self.step, {name: values[name] for name in values if name not in times})
        if times:
            self._unsaved_times.append((self.step, times))

    def _send_times(self) -> None:
        for step, times in self._unsaved_times:
            self.tracker.log_metrics(step, times)
        self._unsaved_times.clear()

    def stop(self, reason: str) -> None:
        self.stop_reason = reason

    def save(self, name: str) -> None:
        self._to_save.add(name)  # saved only when all callbacks have run, because their state is saved too

    def take_weights(self, name: str) -> None:
        arrays, _ = checkpoint.load(self.folder / "checkpoints" / f"{name}.npz")
        self._set_weights(arrays)
        if self.data.validation is not None:
            self.log(self.evaluate(self.data.validation, "val"))

    # the loop -----------------------------------------------------------------------------------

    def run(self) -> Steps:
        """Train until the end, or until a callback stops the run.

        The generator yields each block of batches. Its caller lets the engine train on the block, and sends
        back the losses.

        Raises:
            Diverged: a loss or a parameter is not finite; the last checkpoint is from before the divergence.
            Interrupted: ``interrupt`` was called; all state has been saved as ``last``.
        """
        self._tell("on_start")
        try:
            while self.epoch < self.epochs and self.stop_reason is None:
                yield from self._advance()
                if self.step % self.steps_per_epoch == 0:
                    self._end_epoch()
                if self.signum is not None:
                    self.save("last")
                self._write_checkpoints()
                if self.signum is not None:
                    raise Interrupted(self.signum)
        except BaseException as error:
            self._tell("on_failure", error)
            raise
        self._tell("on_end")
        self._write_checkpoints()
        self._send_times()

    def _tell(self, event: str, *more: object) -> None:
        """Call a method of every callback. Errors in callbacks with ``only_shows`` do not end the run."""
        for name, callback in self.callbacks.items():
            try:
                getattr(callback, event)(self, *more)
            except Exception as error:
                if not callback.only_shows:
                    raise
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                print(f"callbacks.{name} failed, but the run continues: {reason}", file=sys.stderr)

    def interrupt(self, signum: int) -> None:
        """Ask the run to save its state and stop after the current block; a signal handler may call this."""
        self.signum = signum

    def _check_parameters(self) -> None:
        if not np.isfinite(self.network.w).all():
            raise self._diverged(f"a parameter is no longer a finite number at step {self.step}")

    def _diverged(self, what: str) -> Diverged:
        optimizer = self.updater.optimizer
        loss = self.network.loss
        return Diverged(what, explain(self.data, loss, optimizer.name, self.lr, optimizer.default_lr))

    def _write_checkpoints(self) -> None:
        if self._to_save:
            self._check_parameters()
            arrays, meta = self.state()
            for name in sorted(self._to_save):
                checkpoint.save(self.folder / "checkpoints" / f"{name}.npz", arrays, meta)
            if "last" in self._to_save:
                self._send_times()
            self._to_save.clear()

    def _advance(self) -> Steps:
        """Train on one block, up to the end of the epoch or of a window, whichever comes first."""
        progress, settings, schedule = self.progress, self.settings, self.schedule
        start = progress.step
        stop, rows = self._block(start)
        lrs = [settings.lr * factor for factor in schedule.factors(start, stop, self.total_steps)]

        table, row_numbers = self.data.train, rows
        if self.pipeline:
            table, row_numbers = self.pipeline.table(table, rows, start), np.arange(len(rows))
            if stop % self.steps_per_epoch:
                self.pipeline.prepare(self.data.train, self._block(stop)[1], stop)
        losses, seconds = yield Block(table, row_numbers, settings.batch_size, lrs)
        progress.epoch_seconds += seconds
        self._unreleased += len(rows) * self.data.train.x.strides[0]
        if self._unreleased > SHUFFLE_BYTES:
            self._unreleased = 0
            self.data.train.release()

        values = losses.values
        total = sum(values)
        if not isfinite(total):
            bad = next(i for i, value in enumerate(values) if not isfinite(value))
            raise self._diverged(f"the training loss became {values[bad]} at step {start + bad + 1}")
        # 0 if the last batch is full, else minus the number of rows that it lacks
        short = len(rows) - len(values) * settings.batch_size
        progress.step = stop
        progress.correct += losses.correct
        progress.epoch_loss.add(settings.batch_size * total + short * values[-1], len(rows))
        progress.log_window.add(total, len(values))
        if schedule.observes == "window":
            progress.rate_window.add(total, len(values))
            if stop % schedule.window == 0:
                schedule.observe(progress.rate_window.take())
        if stop % settings.log_every == 0:
            self.log({"train/loss_window": progress.log_window.take(), "lr": lrs[-1]})
            self._tell("on_window")

    def _block(self, start: int) -> tuple[int, np.ndarray[Any, np.dtype[np.intp]]]:
        """The step at which the block from step ``start`` on ends, and the numbers of the block's rows."""
        stop = min(
            start + BLOCK_STEPS,
            _next_multiple(start, self.steps_per_epoch),
            _next_multiple(start, self.settings.log_every),
        )
        if self.schedule.observes == "window":
            stop = min(stop, _next_multiple(start, self.schedule.window))
        done, size = start % self.steps_per_epoch, self.settings.batch_size
        return stop, self._epoch_order()[done * size : (done + stop - start) * size]

    def _epoch_order(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        if self._order is None:
            table = self.data.train
            shuffle = self.settings.shuffle
            self._order = shuffled(table, self.streams["shuffle"]) if shuffle else np.arange(len(table))
        return self._order

    def _end_epoch(self) -> None:
        self._check_parameters()
        progress = self.progress
        rows = len(self.data.train)
        values = {"train/loss": progress.epoch_loss.take()}
        if "accuracy" in self.metrics:
            values["train/accuracy"] = progress.correct / rows
        if self.data.validation is not None:
            values |= self.evaluate(self.data.validation, "val")
            if not isfinite(values["val/loss"]):
                raise self._diverged(f"the validation loss became {values['val/loss']} at step {self.step}")
        values["time/epoch_seconds"] = progress.epoch_seconds
        values["time/samples_per_second"] = rows / progress.epoch_seconds
        progress.epoch += 1
        progress.correct, progress.epoch_seconds = 0, 0.0
        self._order = None
        if self.schedule.observes == "epoch":
            self.schedule.observe(values.get("val/loss", values["train/loss"]))
        self.log(values)
        self._tell("on_epoch")

    def _metric_names(self) -> list[str]:
        names = ["train/loss"]
        if "accuracy" in self.metrics:
            names.append("train/accuracy")
        if self.data.validation is not None:
            names += ["val/loss", *(f"val/{name}" for name, metric in self.metrics.items() if metric.scalar)]
        return names

    def evaluate(self, table: Table, part: str) -> dict[str, float]:
        """Loss and scalar metrics over a table, named ``<part>/<metric>``."""
        with self.updater.evaluated():
            loss, outputs = self.network.evaluate(table)
        target = self.data.encoder.target
        prediction, truth = target.unscaled(self.network.loss.predict(outputs)), target.unscaled(table.y)
        scalars = {
            f"{part}/{name}": float(metric.compute(prediction, truth))
            for name, metric in self.metrics.items()
            if metric.scalar
        }
        return {f"{part}/loss": loss, **scalars}

    def arrays_at_end(self, table: Table) -> dict[str, Array]:
        """The metrics over a table that are arrays (for example a confusion matrix), by name."""
        arrays = {name: metric for name, metric in self.metrics.items() if not metric.scalar}
        if not arrays:
            return {}
        with self.updater.evaluated():
            outputs = self.network.evaluate(table)[1]
        target = self.data.encoder.target
        prediction, truth = target.unscaled(self.network.loss.predict(outputs)), target.unscaled(table.y)
        return {name: metric.compute(prediction, truth) for name, metric in arrays.items()}

    def finish(self) -> None:
        """Evaluate the test part at the current step, if there is a test part."""
        if self.data.test is not None:
            self.log(self.evaluate(self.data.test, "test"))

    # all state ----------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Everything that is needed to continue the run, as arrays and plain values."""
        arrays: dict[str, Array] = {"w": self.network.w}
        arrays |= {f"slot/{name}": vector for name, vector in self.updater.slots.items()}
        arrays |= {f"state/{name}": array for name, array in self.network.state.items()}
        arrays |= {f"history/{name}": array for name, array in self.history.arrays().items()}
        if self._order is not None and self.step % self.steps_per_epoch:
            arrays["order"] = self._order
        meta = {
            "progress": asdict(self.progress),
            "updates": self.updater.step,
            "schedule": self.schedule.state(),
            "streams": self.streams.state(),
            "callbacks": {name: callback.state() for name, callback in self.callbacks.items()},
            "about": self.about,
        }
        return arrays, meta

    def restore(self, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
        """Continue from what ``state()`` returned.

        Raises:
            UsageError: the state is not one of this run.
        """
        check_values("the state", meta, STATE)
        self._check_progress(meta["progress"], arrays.get("order"))
        self._set_weights(arrays)
        self.history = History.from_arrays(
            {
                name.removeprefix("history/"): array
                for name, array in arrays.items()
                if name.startswith("history/")
            }
        )
        self._order = arrays.get("order")
        progress = dict(meta["progress"])
        for name in ("epoch_loss", "log_window", "rate_window"):
            progress[name] = Mean(progress[name]["total"], progress[name]["count"])
        self.progress = Progress(**{name: progress[name] for name in STATE["progress"]})
        self.updater.step = meta["updates"]
        _restore(f"the schedule {self.schedule.name}", self.schedule, meta["schedule"])
        try:
            self.streams.restore(meta["streams"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:  # from NumPy, for any other state
            raise UsageError(f"the state of the random streams cannot be restored: {error}") from error
        for name, state in meta["callbacks"].items():
            if name in self.callbacks:
                _restore(f"callbacks.{name}", self.callbacks[name], state)

    def _check_progress(self, progress: Mapping[str, Any], order: Array | None) -> None:
        rows, step = len(self.data.train), progress["step"]
        if min(step, progress["correct"], progress["epoch_seconds"]) < 0:
            raise UsageError("the progress has negative numbers")
        if any(progress[name]["count"] < 0 for name in ("epoch_loss", "log_window", "rate_window")):
            raise UsageError("the progress has means of fewer than 0 numbers")
        if progress["epoch"] != step // self.steps_per_epoch:
            raise UsageError(
                f"step {step:,} is not in epoch {progress['epoch']:,}: "
                f"an epoch has {self.steps_per_epoch:,} steps"
            )
        if order is None:
            return
        if order.shape != (rows,) or order.dtype.kind != "i" or (np.sort(order) != np.arange(rows)).any():
            raise UsageError(f"the order of the rows does not name each of the {rows:,} rows once")

    def _set_weights(self, arrays: Mapping[str, Array]) -> None:
        """Set the parameters, the optimizer's slots (averaged weights, for example) and the layers' state."""
        targets = {"w": self.network.w}
        targets |= {f"slot/{name}": vector for name, vector in self.updater.slots.items()}
        targets |= {f"state/{name}": array for name, array in self.network.state.items()}
        for name, target in targets.items():
            if name not in arrays:
                raise UsageError(f"it lacks the array {name!r}")
            check_array(name, arrays[name], target.shape, target.dtype)
        if not np.isfinite(arrays["w"]).all():
            raise UsageError("its weights are not finite")
        for name, target in targets.items():
            target[...] = arrays[name]


def _restore(what: str, component: Schedule | Callback, state: dict[str, Any]) -> None:
    """Restore the state of a component that was saved by a component of the same class.

    Raises:
        UsageError: the state has other keys or types.
    """
    check_values(
        f"the state of {what}", state, {key: _form(value) for key, value in component.state().items()}
    )
    try:
        component.restore(state)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"the state of {what} cannot be restored: {error!r}") from error


def _form(value: object) -> Any:
    """The form of a value of a component's state, see ``check_values``; ``None`` may become anything."""
    if value is None:
        return object
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _read_only(arrays: dict[str, Array]) -> dict[str, Array]:
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def _next_multiple(number: int, of: int) -> int:
    return (number // of + 1) * of
