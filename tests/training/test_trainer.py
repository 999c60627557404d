"""The training loop: reported values, order of the rows, learning rates, and interruptions."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import (
    Array,
    Block,
    Callback,
    DataContext,
    Dataset,
    Engine,
    Losses,
    Preparation,
    Schedule,
    Splits,
    Table,
    UsageError,
)
from mlpframe.training import checkpoint, trainer
from mlpframe.training.data.pipeline import Pipeline
from mlpframe.training.data.prepare import Data, load_data
from mlpframe.training.data.table import Encoder
from mlpframe.training.engines import create_engine
from mlpframe.training.history import History
from mlpframe.training.lockstep import Lockstep
from mlpframe.training.network import Network, build_layers
from mlpframe.training.optim import Updater
from mlpframe.training.rng import Streams
from mlpframe.training.trainer import Diverged, Interrupted, Settings, Trainer
from tests.running import history, mlpframe, record, the_run

ROWS, BATCH = 23, 5
STEPS = 5  # an epoch: four batches of five rows and one of three


def draw_data(*, validation: bool = True, seed: int = 0, wrong: float = 0.0) -> Data:
    """Learnable data with four features and three classes. A share of the validation labels is wrong."""
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal((4, 3))

    def table(n: int, wrong: float) -> Table:
        x = rng.standard_normal((n, 4))
        y = (x @ direction + rng.standard_normal((n, 3))).argmax(1)
        mistaken = rng.random(n) < wrong
        y[mistaken] = rng.integers(0, 3, np.count_nonzero(mistaken))
        return Table(x, y)

    train, held = table(ROWS, 0.0), table(40, wrong) if validation else None
    splits = Splits(train, held, class_names=("a", "b", "c"))
    return Data("drawn", splits, train, held, None, Encoder())


def draw_overfitting() -> Data:
    """Data on which a network overfits: the validation loss falls, with ups and downs, and then rises."""
    return draw_data(seed=3, wrong=0.2)


class Watched(Engine):
    """The engine ``numpy``, which also records its blocks and the losses."""

    name = "watched"

    def __init__(self) -> None:
        self.engine = registries["engine"].create("numpy")
        self.blocks: list[list[int]] = []
        self.rows: list[int] = []
        self.lrs: list[float] = []
        self.losses: list[float] = []

    def refuses(self, network: Any, updater: Any) -> str | None:
        return None

    def bind(self, network: Any, updater: Any) -> None:
        self.engine.bind(network, updater)

    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        (block,) = blocks
        self.blocks.append(block.rows.tolist())
        self.rows += block.rows.tolist()
        self.lrs += block.lrs
        losses: list[Losses] = self.engine.advance(blocks)
        self.losses += losses[0].values
        return losses


class Kept:
    """A tracker that keeps everything that it gets."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str, float]] = []

    def start(self, about: Mapping[str, Any]) -> None: ...

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.rows += [(step, name, value) for name, value in values.items()]

    def end(self, status: str, results: Mapping[str, Any]) -> dict[str, Any]:
        return {}


class Interrupting(Callback):
    """Interrupts the run at a step, as a signal does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_window(self, run: Any) -> None:
        if run.step == self.step:
            run.interrupt(signal.SIGTERM)

    on_epoch = on_window


def fit(run: Trainer) -> None:
    """Train a run to the end."""
    ((ended,),) = Lockstep([run]).run()
    if ended[1] is not None:
        raise ended[1]


def make_trainer(
    folder: Path,
    data: Data | None = None,
    *,
    hidden: Sequence[int] = (6,),
    optimizer: str = "sgd",
    loss: str = "cross_entropy",
    schedule: Schedule | str = "constant",
    callbacks: Mapping[str, Callback] | None = None,
    lr: float = 0.3,
    epochs: int = 3,
    batch_size: int = BATCH,
    log_every: int = 2,
    shuffle: bool = True,
    dtype: str = "float64",
    seed: int = 0,
) -> Trainer:
    data = data or draw_data()
    streams = Streams(seed)
    specs: list[Any] = []
    for units in hidden:
        specs += [{"name": "linear", "units": units}, "tanh"]
    network = Network(
        build_layers([*specs, {"name": "linear"}], data.splits.n_outputs),
        registries["loss"].create(loss),
        data.train.x.shape[1],
        data.train.y,
        dtype,
        streams,
    )
    updater = Updater(registries["optimizer"].create(optimizer), network)
    engine = Watched()
    engine.bind(network, updater)
    accuracy = registries["metric"].create("accuracy")
    return Trainer(
        network=network,
        updater=updater,
        schedule=registries["schedule"].create(schedule) if isinstance(schedule, str) else schedule,
        engine=engine,
        data=data,
        pipeline=Pipeline({}, data.splits, streams),
        metrics={"accuracy": accuracy} if data.splits.task == "classification" else {},
        callbacks=callbacks or {},
        tracker=Kept(),
        streams=streams,
        settings=Settings(lr, epochs, batch_size, log_every, shuffle),
        folder=folder,
        title="a run",
        about={},
    )


def watched(run: Trainer) -> Watched:
    assert isinstance(run.engine, Watched)
    return run.engine


def series(run: Trainer, name: str) -> tuple[list[int], list[float]]:
    return run.history.series(name)


# --- reported values, against softmax regression by hand ---------------------------------------------


class ByHand:
    """Softmax regression with its textbook gradient, trained on batches in the order of the rows."""

    def __init__(self, run: Trainer) -> None:
        p = run.network.views(run.network.w)
        self.W, self.b = p["0.linear.W"].copy(), p["0.linear.b"].copy()
        self.each: list[Array] = []  # the loss of every row, before the update of the row's batch
        self.right: list[int] = []
        self.after: list[tuple[float, float]] = []  # validation loss and accuracy after each epoch
        table, held = run.data.train, run.data.validation
        for _ in range(run.epochs):
            for start in range(0, len(table), BATCH):
                x, y = table.x[start : start + BATCH], table.y[start : start + BATCH]
                p_true, q = self._probabilities(x, y)
                self.each.append(-np.log(p_true))
                self.right.append(int((q.argmax(1) == y).sum()))
                q[np.arange(len(y)), y] -= 1
                self.W -= run.settings.lr * x.T @ q / len(y)
                self.b -= run.settings.lr * q.mean(0)
            assert held is not None
            p_true, q = self._probabilities(held.x, held.y)
            self.after.append((float(-np.log(p_true).mean()), float((q.argmax(1) == held.y).mean())))

    def _probabilities(self, x: Array, y: Array) -> tuple[Array, Array]:
        q = np.exp(x @ self.W + self.b)
        q /= q.sum(1, keepdims=True)
        return q[np.arange(len(y)), y], q


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, ByHand]:
    run = make_trainer(tmp_path_factory.mktemp("run"), hidden=(), shuffle=False)
    hand = ByHand(run)
    fit(run)
    return run, hand


def test_the_loss_of_an_epoch_is_the_mean_over_the_examples_during_training(
    by_hand: tuple[Trainer, ByHand],
) -> None:
    run, hand = by_hand
    epochs = [np.concatenate(hand.each[i : i + STEPS]) for i in range(0, len(hand.each), STEPS)]
    steps, values = series(run, "train/loss")
    assert steps == [5, 10, 15]
    np.testing.assert_allclose(values, [each.mean() for each in epochs], rtol=1e-12)
    of_batches = [np.mean([batch.mean() for batch in hand.each[i : i + STEPS]]) for i in (0, 5, 10)]
    # the mean over batches is another number, because the last batch is shorter
    assert np.abs(np.subtract(of_batches, values)).min() > 1e-4


def test_the_accuracy_of_an_epoch_is_the_share_of_correct_examples_during_training(
    by_hand: tuple[Trainer, ByHand],
) -> None:
    run, hand = by_hand
    right = [sum(hand.right[i : i + STEPS]) for i in (0, 5, 10)]
    assert series(run, "train/accuracy") == ([5, 10, 15], [n / ROWS for n in right])
    assert right[0] < right[-1] < ROWS


def test_validation_comes_after_the_epoch(by_hand: tuple[Trainer, ByHand]) -> None:
    run, hand = by_hand
    for name, expected in zip(("val/loss", "val/accuracy"), zip(*hand.after, strict=True), strict=True):
        steps, values = series(run, name)
        assert steps == [5, 10, 15]
        np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_a_window_is_the_mean_of_its_batches_across_epochs(by_hand: tuple[Trainer, ByHand]) -> None:
    run, hand = by_hand
    means = [float(batch.mean()) for batch in hand.each]
    steps, values = series(run, "train/loss_window")
    assert steps == [2, 4, 6, 8, 10, 12, 14]  # the fifteenth batch begins a window that never ends
    expected = [(a + b) / 2 for a, b in zip(means[::2], means[1::2], strict=False)]
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_the_tracker_gets_every_value_of_the_history_once(by_hand: tuple[Trainer, ByHand]) -> None:
    run, _ = by_hand
    assert isinstance(run.tracker, Kept)
    assert sorted(run.tracker.rows) == sorted(run.history.rows())
    assert len(run.tracker.rows) == 2 * 7 + 6 * 3


def test_seconds_times_speed_is_the_number_of_rows_of_an_epoch(by_hand: tuple[Trainer, ByHand]) -> None:
    run, _ = by_hand
    _, seconds = series(run, "time/epoch_seconds")
    _, speed = series(run, "time/samples_per_second")
    assert min(seconds) > 0
    np.testing.assert_allclose(np.multiply(seconds, speed), ROWS, rtol=1e-12)


# --- the order of the rows, the blocks, the callbacks ------------------------------------------------


def test_every_epoch_trains_on_every_row_once_in_a_new_order(tmp_path: Path) -> None:
    orders = []
    for seed in (0, 1):
        run = make_trainer(tmp_path, seed=seed)
        fit(run)
        rows = watched(run).rows
        orders += [tuple(rows[start : start + ROWS]) for start in range(0, 3 * ROWS, ROWS)]
    assert all(sorted(order) == list(range(ROWS)) for order in orders)
    assert len(set(orders)) == 6


def test_without_shuffling_the_rows_come_in_their_order(tmp_path: Path) -> None:
    run = make_trainer(tmp_path, shuffle=False)
    fit(run)
    assert watched(run).rows == 3 * list(range(ROWS))


@pytest.mark.parametrize("schedule", ["constant", "cosine", "loss_ratio"])
@pytest.mark.parametrize("longest", [1, 2, 3])
def test_the_length_of_blocks_changes_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: str, longest: int
) -> None:
    def train() -> Trainer:
        rule = registries["schedule"].create(
            schedule, **({"update_step": 6} if schedule == "loss_ratio" else {})
        )
        run = make_trainer(tmp_path, optimizer="momentum", schedule=rule, log_every=7, epochs=4)
        fit(run)
        return run

    whole = train()
    monkeypatch.setattr(trainer, "BLOCK_STEPS", longest)
    cut = train()
    assert max(map(len, watched(cut).blocks)) <= longest * BATCH < max(map(len, watched(whole).blocks))
    assert watched(cut).rows == watched(whole).rows
    # with loss_ratio, the rates depend on means of losses, whose rounding depends on the length of blocks
    if schedule != "loss_ratio":
        assert cut.network.w.tobytes() == whole.network.w.tobytes()
    assert cut.history.names() == whole.history.names()
    for name in whole.history.names():
        if not name.startswith("time/"):
            assert series(cut, name)[0] == series(whole, name)[0]
            np.testing.assert_allclose(series(cut, name)[1], series(whole, name)[1], rtol=1e-12)


def test_callbacks_are_called_in_order_with_the_current_values(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int, float | None]] = []

    class Listening(Callback):
        def __getattribute__(self, name: str) -> Any:
            if not name.startswith("on_"):
                return super().__getattribute__(name)

            def note(run: Any) -> None:
                calls.append((name, run.step, run.epoch, run.latest.get("val/loss")))

            return note

    run = make_trainer(tmp_path, callbacks={"listening": Listening()}, log_every=3, epochs=2)
    fit(run)
    first, second = series(run, "val/loss")[1]
    assert calls == [
        ("on_start", 0, 0, None),
        ("on_window", 3, 0, None),
        ("on_epoch", 5, 1, first),
        ("on_window", 6, 1, first),
        ("on_window", 9, 1, first),
        ("on_epoch", 10, 2, second),
        ("on_end", 10, 2, second),
    ]


def test_a_callback_can_end_the_run_within_an_epoch(tmp_path: Path) -> None:
    class Enough(Callback):
        def on_window(self, run: Any) -> None:
            if run.step == 8:
                run.stop("enough")

    run = make_trainer(tmp_path, callbacks={"enough": Enough()}, epochs=5)
    fit(run)
    assert (run.step, run.epoch, run.stop_reason) == (8, 1, "enough")
    assert len(watched(run).lrs) == 8


# --- the rates ---------------------------------------------------------------------------------------

CLOSED = [
    name
    for name in registries["schedule"].names()
    if registries["schedule"].create(name).observes == "nothing"
]


class Harmonic(Schedule):
    """The factors 1, 1/2, 1/3, …; records the steps of its calls."""

    name = "harmonic"

    def __init__(self) -> None:
        self.asked: set[tuple[int, int]] = set()

    def factor(self, step: int, total_steps: int) -> float:
        self.asked.add((step, total_steps))
        return 1 / (1 + step)


def test_the_schedule_is_called_for_every_step_of_the_run(tmp_path: Path) -> None:
    schedule = Harmonic()
    run = make_trainer(tmp_path, schedule=schedule, lr=0.6)
    fit(run)
    assert schedule.asked == {(step, 15) for step in range(15)}
    assert watched(run).lrs == [0.6 * (1 / (1 + step)) for step in range(15)]
    assert series(run, "lr") == ([2, 4, 6, 8, 10, 12, 14], watched(run).lrs[1::2])
    assert run.lr == watched(run).lrs[-1]  # after all updates: the rate of the last update


@pytest.mark.parametrize("name", CLOSED)
def test_every_update_has_the_rate_of_its_step(tmp_path: Path, name: str) -> None:
    run = make_trainer(tmp_path, schedule=name, lr=0.7, epochs=4)
    fit(run)
    formula = registries["schedule"].create(name)
    assert watched(run).lrs == [0.7 * formula.factor(step, 20) for step in range(20)]


@pytest.mark.parametrize("start_rate", [0.03, 0.5])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_after_n_windows_the_rate_is_the_first_rate_times_loss_n_over_loss_1(
    tmp_path: Path, optimizer: str, start_rate: float
) -> None:
    # α ← α · (mean of this window ÷ mean of the last window): the product telescopes
    rule = registries["schedule"].create("loss_ratio", update_step=3)
    run = make_trainer(tmp_path, schedule=rule, optimizer=optimizer, lr=start_rate, log_every=3, epochs=12)
    fit(run)
    steps, losses = series(run, "train/loss_window")
    assert steps == list(range(3, 61, 3))  # windows of three do not end with epochs of five
    rates = series(run, "lr")[1]
    assert rates[:2] == [start_rate, start_rate]
    expected = [start_rate * loss / losses[0] for loss in losses[:-1]]
    np.testing.assert_allclose(rates[1:], expected, rtol=1e-12)
    assert min(rates) < 0.9 * start_rate


@pytest.mark.parametrize("update_step", [1, 4, 5, 7, 100])
def test_the_windows_of_the_schedule_are_independent_of_the_windows_of_the_log(
    tmp_path: Path, update_step: int
) -> None:
    rule = registries["schedule"].create("loss_ratio", update_step=update_step)
    run = make_trainer(tmp_path, schedule=rule, lr=0.5, log_every=3, epochs=6)
    fit(run)
    losses, lrs = watched(run).losses, watched(run).lrs
    windows = [np.mean(losses[i : i + update_step]) for i in range(0, 30, update_step)]
    for i in range(30):
        done = i // update_step
        expected = 0.5 if done == 0 else 0.5 * windows[done - 1] / windows[0]
        assert lrs[i] == pytest.approx(expected, rel=1e-12)
    assert len(set(lrs)) == max(29 // update_step, 1)  # the first two windows have the same rate


@pytest.mark.parametrize("validation", [True, False])
def test_plateau_watches_the_validation_loss_or_else_the_training_loss(
    tmp_path: Path, validation: bool
) -> None:
    data = draw_data(validation=validation, wrong=0.5)
    schedule = registries["schedule"].create("plateau", patience=1, gamma=0.5)
    run = make_trainer(tmp_path, data, schedule=schedule, lr=8.0, epochs=20)
    fit(run)
    twin = registries["schedule"].create("plateau", patience=1, gamma=0.5)
    factors = []
    for value in series(run, "val/loss" if validation else "train/loss")[1]:
        factors += STEPS * [twin.factor(0, 0)]
        twin.observe(value)
    assert watched(run).lrs == [8.0 * factor for factor in factors]
    assert factors[-1] < 0.5


def test_warmup_before_a_reactive_schedule_does_not_change_its_windows(tmp_path: Path) -> None:
    schedule = registries["schedule"].create("warmup", steps=6, then={"name": "loss_ratio", "update_step": 4})
    run = make_trainer(tmp_path, schedule=schedule, lr=0.4, epochs=4)
    fit(run)
    losses, lrs = watched(run).losses, watched(run).lrs
    windows = [np.mean(losses[i : i + 4]) for i in range(0, 20, 4)]
    followed = [1.0] * 4 + [w / windows[0] for w in windows[:-1] for _ in range(4)]
    expected = [0.4 * min((i + 1) / 6, 1) * followed[i] for i in range(20)]
    np.testing.assert_allclose(lrs, expected, rtol=1e-12)


# --- early stopping, and the best checkpoint ---------------------------------------------------------


def stops_after(values: Sequence[float], patience: int, min_delta: float) -> int:
    """The first epoch that ends ``patience`` consecutive epochs without an improvement."""
    best, waited = values[0], 0
    for epoch, value in enumerate(values[1:], 2):
        if best - value > min_delta:
            best, waited = value, 0
        else:
            waited += 1
        if waited == patience:
            return epoch
    raise AssertionError("the run has no such epoch")


@pytest.fixture(scope="module")
def overfitting(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The validation losses of a run without early stopping."""
    run = make_trainer(tmp_path_factory.mktemp("run"), draw_overfitting(), epochs=40)
    fit(run)
    return series(run, "val/loss")[1]


def stopping(patience: int, min_delta: float = 0.0) -> dict[str, Callback]:
    """The callbacks in the order of ``conf``: checkpoints before early stopping."""
    create = registries["callback"].create
    return {
        "checkpoint": create("checkpoint"),
        "early_stopping": create("early_stopping", patience=patience, min_delta=min_delta),
    }


@pytest.mark.parametrize(("patience", "min_delta"), [(1, 0.0), (3, 0.0), (6, 0.0), (3, 0.02)])
def test_early_stopping_ends_the_run_after_patience_epochs_without_improvement(
    tmp_path: Path, overfitting: list[float], patience: int, min_delta: float
) -> None:
    expected = stops_after(overfitting, patience, min_delta)
    assert patience + 1 < expected < 40
    run = make_trainer(tmp_path, draw_overfitting(), epochs=40, callbacks=stopping(patience, min_delta))
    fit(run)
    assert run.epoch == expected
    assert series(run, "val/loss")[1] == overfitting[:expected]
    assert run.stop_reason == f"val/loss has not improved for {patience} epochs"


def test_the_count_of_early_stopping_survives_an_interruption(
    tmp_path: Path, overfitting: list[float]
) -> None:
    patience = 4
    last = stops_after(overfitting, patience, 0.0)
    for epoch in range(last - patience, last):  # every possible number of epochs without improvement occurs
        folder = tmp_path / str(epoch)
        callbacks = {**stopping(patience), "interrupting": Interrupting(epoch * STEPS)}
        first = make_trainer(folder, draw_overfitting(), epochs=40, callbacks=callbacks)
        with pytest.raises(Interrupted):
            fit(first)
        assert first.epoch == epoch
        second = make_trainer(folder, draw_overfitting(), epochs=40, callbacks=stopping(patience))
        second.restore(*checkpoint.load(folder / "checkpoints" / "last.npz"))
        fit(second)
        assert second.epoch == last


def test_a_run_that_was_stopped_early_stays_stopped_when_continued(tmp_path: Path) -> None:
    first = make_trainer(tmp_path, draw_overfitting(), epochs=40, callbacks=stopping(3))
    fit(first)
    second = make_trainer(tmp_path, draw_overfitting(), epochs=40, callbacks=stopping(3))
    second.restore(*checkpoint.load(tmp_path / "checkpoints" / "last.npz"))
    fit(second)
    assert watched(second).lrs == []
    assert_same(second, first)


def test_a_missing_metric_cannot_be_monitored(tmp_path: Path) -> None:
    callback = registries["callback"].create("early_stopping")
    run = make_trainer(tmp_path, draw_data(validation=False), callbacks={"early_stopping": callback})
    with pytest.raises(
        UsageError, match=r"monitor=val/loss: expected a metric of this run: train/loss, train/accuracy$"
    ):
        callback.check(run)


@pytest.mark.parametrize(
    ("monitor", "mode", "choose"), [("val/loss", "min", min), ("val/accuracy", "max", max)]
)
def test_the_best_checkpoint_is_the_state_with_the_best_validation_metric(
    tmp_path: Path, monitor: str, mode: str, choose: Callable[[list[float]], float]
) -> None:
    callback = registries["callback"].create("checkpoint", monitor=monitor, mode=mode)
    data = draw_overfitting()
    run = make_trainer(tmp_path, data, epochs=20, callbacks={"checkpoint": callback})
    fit(run)
    steps, values = series(run, monitor)
    best = values.index(choose(values))
    assert 0 < best < 19  # the best epoch is neither the first nor the last

    arrays, meta = checkpoint.load(tmp_path / "checkpoints" / "best.npz")
    other = make_trainer(tmp_path, data, seed=9)
    other.restore(arrays, meta)
    assert other.step == steps[best]
    assert data.validation is not None
    assert other.evaluate(data.validation, "val")[monitor] == values[best]
    assert (tmp_path / "checkpoints" / "last.npz").exists()


# --- interruption ------------------------------------------------------------------------------------


def assert_same(run: Trainer, expected: Trainer) -> None:
    """Assert that every bit of state is equal, except for recorded times."""
    (arrays, meta), (expected_arrays, expected_meta) = run.state(), expected.state()
    assert arrays.keys() == expected_arrays.keys()
    for name, array in expected_arrays.items():
        if not name.startswith("history/time/"):
            assert arrays[name].dtype == array.dtype
            assert arrays[name].tobytes() == array.tobytes(), name
    for part in (meta, expected_meta):
        part["progress"]["epoch_seconds"] = 0.0
    assert json.dumps(meta, sort_keys=True) == json.dumps(expected_meta, sort_keys=True)


CASES = [(name, "constant") for name in registries["optimizer"].names()]
CASES += [("adam", name) for name in registries["schedule"].names() if name != "constant"]


@pytest.mark.parametrize(("optimizer", "schedule"), CASES)
def test_an_interrupted_run_continues_to_the_same_bits(tmp_path: Path, optimizer: str, schedule: str) -> None:
    rules: dict[str, dict[str, Any]] = {
        "plateau": {"patience": 0, "gamma": 0.7},
        "loss_ratio": {"update_step": 3},
        "warmup": {"steps": 8, "then": "loss_ratio"},
    }

    def make(interrupt_at: int | None, seed: int = 0) -> Trainer:
        return make_trainer(
            tmp_path,
            optimizer=optimizer,
            schedule=registries["schedule"].create(schedule, **rules.get(schedule, {})),
            callbacks={
                **stopping(50),
                **({"interrupting": Interrupting(interrupt_at)} if interrupt_at else {}),
            },
            lr=0.05,
            epochs=4,
            dtype="float32",
            seed=seed,
        )

    whole = make(None)
    fit(whole)
    assert whole.step == 20

    seed = 0
    for step in (
        2,
        4,
        10,
        18,
    ):  # within an epoch, again in that epoch, at the end of an epoch, within the last epoch
        run = make(step, seed)
        if seed:
            run.restore(*checkpoint.load(tmp_path / "checkpoints" / "last.npz"))
        with pytest.raises(Interrupted) as stopped:
            fit(run)
        assert stopped.value.signum == signal.SIGTERM
        assert run.step == step
        seed += 1  # without restored state the results would differ
    continued = make(None, seed)
    continued.restore(*checkpoint.load(tmp_path / "checkpoints" / "last.npz"))
    fit(continued)
    assert len(watched(continued).lrs) == 2
    assert_same(continued, whole)


def test_after_an_interruption_the_same_rows_come_in_the_same_order(tmp_path: Path) -> None:
    whole = make_trainer(tmp_path)
    fit(whole)
    first = make_trainer(tmp_path, callbacks={"interrupting": Interrupting(8)})
    with pytest.raises(Interrupted):
        fit(first)
    second = make_trainer(tmp_path, seed=1)
    second.restore(*checkpoint.load(tmp_path / "checkpoints" / "last.npz"))
    fit(second)
    assert watched(first).rows + watched(second).rows == watched(whole).rows


def test_after_a_kill_a_tracker_and_the_history_have_the_same_times(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    class Killing(Callback):
        def on_epoch(self, run: Any) -> None:
            if run.epoch == 2:  # its values have been recorded, but its checkpoint has not been written
                raise Killed

    callbacks = {"checkpoint": registries["callback"].create("checkpoint")}
    first = make_trainer(tmp_path, callbacks={**callbacks, "killing": Killing()})
    with pytest.raises(Killed):
        fit(first)
    second = make_trainer(tmp_path, callbacks=callbacks, seed=1)
    second.restore(*checkpoint.load(tmp_path / "checkpoints" / "last.npz"))
    assert second.epoch == 1
    fit(second)
    assert isinstance(first.tracker, Kept)
    assert isinstance(second.tracker, Kept)
    rows = [*first.tracker.rows, *second.history.rows()]  # a tracker keeps the first value of a step
    kept = {(step, name): value for step, name, value in reversed(rows)}
    assert (10, "train/loss") in {row[:2] for row in first.tracker.rows}
    assert kept == {(step, name): value for step, name, value in second.history.rows()}


def test_every_checkpoint_has_the_state_of_all_callbacks(tmp_path: Path) -> None:
    class Counting(Callback):
        epochs = 0

        def on_epoch(self, run: Any) -> None:
            self.epochs += 1

        def state(self) -> dict[str, Any]:
            return {"epochs": self.epochs}

    callbacks = {"checkpoint": registries["callback"].create("checkpoint"), "counting": Counting()}
    fit(make_trainer(tmp_path, callbacks=callbacks, epochs=3))
    _, meta = checkpoint.load(tmp_path / "checkpoints" / "last.npz")
    assert meta["callbacks"]["counting"] == {"epochs": 3}


# --- divergence --------------------------------------------------------------------------------------


def draw_regression(rows: int) -> Data:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((rows, 3))
    table = Table(x.astype(np.float32), (x @ rng.standard_normal((3, 2))).astype(np.float32))
    return Data("drawn", Splits(table, table), table, table, None, Encoder())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    seen: list[BaseException] = []

    class Mourning(Callback):
        def on_failure(self, run: Any, error: BaseException) -> None:
            seen.append(error)

    callbacks = {"checkpoint": registries["callback"].create("checkpoint"), "mourning": Mourning()}
    # each update multiplies the error, which exceeds the largest float32 after a few tens of steps
    run = make_trainer(
        tmp_path,
        draw_regression(16),
        hidden=(),
        loss="mse",
        callbacks=callbacks,
        lr=60.0,
        epochs=100,
        batch_size=4,
        dtype="float32",
    )
    with pytest.raises(Diverged) as stopped:
        fit(run)
    assert seen == [stopped.value]
    finite = np.isfinite(watched(run).losses).tolist()
    first_bad = finite.index(False) + 1
    assert first_bad > 8
    assert re.fullmatch(rf"the training loss became (inf|nan) at step {first_bad}", stopped.value.what)

    arrays, meta = checkpoint.load(tmp_path / "checkpoints" / "last.npz")
    assert 0 < meta["progress"]["step"] < first_bad
    assert np.isfinite(arrays["w"]).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_last_checkpoint_is_from_before_the_divergence(tmp_path: Path) -> None:
    run = make_trainer(
        tmp_path,
        draw_regression(16),
        hidden=(),
        loss="mse",
        callbacks={"checkpoint": registries["callback"].create("checkpoint")},
        lr=1e39,
        epochs=5,
        batch_size=16,  # the diverging update is the only update of its epoch
        dtype="float32",
    )
    with pytest.raises(Diverged):
        fit(run)
    file = tmp_path / "checkpoints" / "last.npz"
    if file.exists():
        assert np.isfinite(checkpoint.load(file)[0]["w"]).all()
        assert np.isfinite(series(run, "val/loss")[1]).all()


def test_the_command_says_that_a_run_diverged(tmp_path: Path) -> None:
    ended = mlpframe(tmp_path, "dataset=diabetes", "loss=mse", "lr=1e6", "tracking=none", "epochs=3")
    assert ended.returncode == 1
    run = the_run(tmp_path)
    assert record(run)["status"] == "diverged"
    expected = r"diverged: the training loss became (inf|nan) at step \d+\.\n.+; set lr=.*\n"
    assert re.fullmatch(expected, ended.stderr)


# --- the test part -----------------------------------------------------------------------------------


class Numbered(Dataset):
    """A data set whose first feature is the row's number."""

    name = "numbered"
    shared = Preparation(validation=10, test=15)

    def load(self, context: DataContext) -> Splits:
        rng = np.random.default_rng(2)
        x = rng.standard_normal((60, 4))
        y = (x[:, 1] > 0).astype(np.intp)
        x[:, 0] = np.arange(60)
        return Splits(Table(x, y), class_names=("no", "yes"))


def test_a_final_run_trains_on_training_and_validation_data_and_tests_once(tmp_path: Path) -> None:
    search = load_data(Numbered(), tmp_path, "float64", Streams(0), final=False)
    final = load_data(Numbered(), tmp_path, "float64", Streams(0), final=True)
    assert search.validation is not None
    assert search.test is None
    assert final.validation is None
    assert final.test is not None

    def numbers(*tables: Table) -> set[float]:
        return {number for table in tables for number in table.x[:, 0].tolist()}

    assert numbers(final.train) == numbers(search.train, search.validation)
    assert len(final.train) == 45
    assert numbers(final.train) | numbers(final.test) == set(range(60))

    run = make_trainer(tmp_path, final, epochs=2, lr=0.01)
    fit(run)
    assert {name for _, name, _ in run.history.rows()} == {
        "train/loss",
        "train/accuracy",
        "train/loss_window",
        "lr",
        "time/epoch_seconds",
        "time/samples_per_second",
    }
    run.finish()
    loss, outputs = run.network.evaluate(final.test)
    assert series(run, "test/loss") == ([18], [loss])
    right = float((outputs.argmax(1) == final.test.y).mean())
    assert series(run, "test/accuracy") == ([18], [right])


def test_a_run_that_is_not_final_never_uses_the_test_part(tmp_path: Path) -> None:
    data = load_data(Numbered(), tmp_path, "float64", Streams(0), final=False)
    run = make_trainer(tmp_path, data, epochs=2, lr=0.01)
    fit(run)
    run.finish()
    assert {name for _, name, _ in run.history.rows() if name.startswith("test/")} == set()
    assert len(series(run, "val/loss")[1]) == 2


def test_the_command_tests_a_final_run_at_its_last_step(tmp_path: Path) -> None:
    ended = mlpframe(tmp_path, "dataset=iris", "final=true", "epochs=2", "tracking=none")
    assert ended.returncode == 0, ended.stderr
    rows = history(the_run(tmp_path))
    assert {(step, name) for step, name, _ in rows if not name.startswith(("train/", "time/", "lr"))} == {
        (8, "test/loss"),  # two epochs of 120 rows, in four batches of up to 32
        (8, "test/accuracy"),
    }
    assert "test/accuracy" in ended.stdout


# --- the history -------------------------------------------------------------------------------------


def test_a_history_is_loaded_to_the_bit(tmp_path: Path) -> None:
    run = make_trainer(tmp_path)
    fit(run)
    run.history.write_csv(tmp_path / "history.csv")
    again = History.read_csv(tmp_path / "history.csv")
    assert sorted(again.rows()) == sorted(run.history.rows())
    assert again.latest == run.history.latest
    arrays = History.from_arrays(run.history.arrays())
    assert sorted(arrays.rows()) == sorted(run.history.rows())
    assert arrays.latest == run.history.latest


def test_the_engine_auto_trains_as_the_numpy_engine_does(tmp_path: Path) -> None:
    ends = []
    for name in ("numpy", "auto"):
        run = make_trainer(tmp_path)
        run.engine = create_engine(name, run.network, run.updater, 1)
        fit(run)
        ends.append(run.network.w.copy())
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-10, atol=1e-12)
