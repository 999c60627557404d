"""Several runs in lockstep: each run trains and ends as it does alone."""

from __future__ import annotations

import csv
import re
import shutil
import signal
import statistics
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from mlpframe import registries
from mlpframe.api import (
    Array,
    Block,
    Bound,
    Callback,
    Context,
    Layer,
    Losses,
    Optimizer,
    Splits,
    Table,
    UpdateRules,
    UsageError,
)
from mlpframe.config import flat
from mlpframe.runs.folder import SWEEP, RunFolder
from mlpframe.runs.overrides import CommandLine
from mlpframe.runs.request import Request, in_groups, take_replicas
from mlpframe.training import checkpoint
from mlpframe.training.data.prepare import Data
from mlpframe.training.data.table import Encoder
from mlpframe.training.engines import create_engine
from mlpframe.training.engines.numpy import NumpyEngine
from mlpframe.training.lockstep import Lockstep
from mlpframe.training.network import Network
from mlpframe.training.optim import Updater
from mlpframe.training.trainer import Diverged, Interrupted, Trainer
from tests.forking import ask
from tests.running import (
    environment,
    history,
    mlpframe,
    record,
    recorded,
    run_folders,
    sqlite_uri,
    the_run,
)
from tests.runs.test_sweep import SMALL, Swept, interrupt_while_held
from tests.training.test_trainer import assert_same, draw_data, fit, make_trainer, series, stopping

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")  # in MLflow

RUNS = 3
CLOSE = 1e-10
RATES = {"sgd": (0.3, 0.1, 0.2), "momentum": (0.05, 0.01, 0.03), "adam": (0.05, 0.01, 0.03)}
"""Learning rates at which the networks learn. If all runs have the same rate, it is the first rate."""
ENGINES = [(engine, optimizer) for engine in ("numpy", "online") for optimizer in RATES]
ENGINES.remove(("online", "adam"))  # the update is not linear in the gradients
RULES: dict[str, dict[str, Any]] = {
    "plateau": {"patience": 0, "gamma": 0.5, "threshold": 0.05},
    "loss_ratio": {"update_step": 3},
}


def make(
    folder: Path,
    seed: int,
    engine: str = "numpy",
    *,
    data: Data | None = None,
    optimizer: str | Mapping[str, Any] = "sgd",
    schedule: str = "constant",
    batch_size: int = 5,
    **settings: Any,
) -> Trainer:
    """A run with its own engine, seed and data."""
    run = make_trainer(
        folder,
        data or draw_data(seed=seed, wrong=0.2),
        optimizer=optimizer,  # type: ignore[arg-type]
        schedule=registries["schedule"].create(schedule, **RULES.get(schedule, {})),
        batch_size=batch_size,
        seed=seed,
        **settings,
    )
    run.engine = create_engine(engine, run.network, run.updater, batch_size)
    return run


def drive(runs: Sequence[Trainer], engine: str = "auto") -> Iterator[dict[int, BaseException | None]]:
    """Train in lockstep. Yields the errors of the runs that have ended, by the run's number."""
    for ended in Lockstep(runs, engine).run():
        yield {runs.index(trainer): error for trainer, error in ended}


def assert_alike(run: Trainer, expected: Trainer) -> None:
    """Assert equal parameters, slots, history and schedule, except for rounding and recorded times."""
    (arrays, meta), (expected_arrays, expected_meta) = run.state(), expected.state()
    assert arrays.keys() == expected_arrays.keys()
    for name, array in expected_arrays.items():
        if not name.startswith("history/time/"):
            np.testing.assert_allclose(arrays[name], array, rtol=CLOSE, atol=CLOSE, err_msg=name)
    assert run.history.names() == expected.history.names()
    streams, expected_streams = meta.pop("streams"), expected_meta.pop("streams")
    assert streams["shuffle"] == expected_streams["shuffle"]  # no other stream is used
    for part in (meta, expected_meta):
        part["progress"]["epoch_seconds"] = 0.0
        del part["about"]
    assert flat(meta) == pytest.approx(flat(expected_meta), rel=CLOSE, abs=CLOSE)


# --- each run trains as if alone ---------------------------------------------------------------------


@pytest.mark.parametrize("own_rates", [False, True], ids=["one rate", "own rates"])
@pytest.mark.parametrize("schedule", ["constant", "plateau", "loss_ratio"])
@pytest.mark.parametrize("batch_size", [1, 5])  # 23 rows: four batches of five and one of three
@pytest.mark.parametrize(("engine", "optimizer"), ENGINES)
def test_each_of_several_runs_trains_as_if_alone(
    tmp_path: Path, engine: str, optimizer: str, batch_size: int, schedule: str, own_rates: bool
) -> None:
    def make_run(i: int) -> Trainer:
        return make(
            tmp_path,
            i,
            engine,
            optimizer=optimizer,
            lr=RATES[optimizer][i if own_rates else 0] * (batch_size / 5),
            schedule=schedule,
            batch_size=batch_size,
            epochs=6,
        )

    alone, together = [make_run(i) for i in range(RUNS)], [make_run(i) for i in range(RUNS)]
    first = [run.network.w.copy() for run in alone]
    for run in alone:
        fit(run)
    assert list(drive(together, engine)) == [dict.fromkeys(range(RUNS))]
    for run, expected in zip(together, alone, strict=True):
        assert_alike(run, expected)

    assert {run.step for run in alone} == {6 * ceil(23 / batch_size)}
    assert min(np.abs(run.network.w - w).max() for run, w in zip(alone, first, strict=True)) > 0.01
    ends = [run.network.w for run in alone]
    assert min(np.abs(ends[i] - ends[i - 1]).max() for i in range(RUNS)) > 0.01
    if schedule != "constant":  # the schedule has changed the rates, and not alike in all runs
        factors = [np.array(series(run, "lr")[1]) / run.settings.lr for run in alone]
        assert len({tuple(of_run.round(9)) for of_run in factors}) > 1


class Normalized(Optimizer):
    """w ← w − η g / ‖g‖, parameter by parameter."""

    name, scope, shared = "normalized", "tensor", UpdateRules()

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        assert w.ndim <= 2
        np.multiply(g, lr / float(np.linalg.norm(g)), scratch)
        np.subtract(w, scratch, w)


def test_an_optimizer_of_whole_tensors_gets_the_tensors_of_one_run(tmp_path: Path) -> None:
    alone, together = ([make(tmp_path, i, lr=0.1 / (i + 1)) for i in range(RUNS)] for _ in range(2))
    for run in (*alone, *together):
        run.updater = Updater(Normalized(), run.network)
        run.engine = create_engine("numpy", run.network, run.updater, run.settings.batch_size)
    for run in alone:
        fit(run)
    list(drive(together))
    for run, expected in zip(together, alone, strict=True):
        assert_alike(run, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipping_and_weight_decay_apply_to_each_run_separately(tmp_path: Path, dtype: str) -> None:
    optimizer = {"name": "momentum", "clip_norm": 0.5, "weight_decay": 0.1}
    how: dict[str, Any] = {"optimizer": optimizer, "epochs": 3, "dtype": dtype}
    rates = (0.2, 0.05, 0.1)
    alone, together = ([make(tmp_path, i, lr=rates[i], **how) for i in range(RUNS)] for _ in range(2))
    for run in alone:
        fit(run)
    list(drive(together))
    tolerance = CLOSE if dtype == "float64" else 1e-4
    for run, expected in zip(together, alone, strict=True):
        assert run.network.w.dtype == dtype
        np.testing.assert_allclose(run.network.w, expected.network.w, rtol=tolerance, atol=tolerance)


def test_each_tracker_gets_the_metrics_of_its_run(tmp_path: Path) -> None:
    runs = [make(tmp_path, i) for i in range(RUNS)]
    list(drive(runs))
    for run in runs:
        assert sorted(run.tracker.rows) == sorted(run.history.rows())  # type: ignore[attr-defined]
    assert len({run.history.latest["train/loss"] for run in runs}) == RUNS


# --- runs that end early -----------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(6,), ()], ids=["one hidden layer", "no hidden layer"])
@pytest.mark.parametrize(("engine", "optimizer"), [("numpy", "adam"), ("online", "momentum")])
def test_a_run_that_stops_early_does_not_change_the_other_runs(
    tmp_path: Path, engine: str, optimizer: str, hidden: tuple[int, ...]
) -> None:
    def make_run(i: int, folder: str) -> Trainer:
        return make(
            tmp_path / folder / str(i),
            i,
            engine,
            data=draw_data(seed=i, wrong=0.3),
            optimizer=optimizer,
            lr=RATES[optimizer][i % 3],
            schedule="loss_ratio",
            epochs=30,
            callbacks=stopping(2),
            hidden=hidden,
        )

    alone, together = [make_run(i, "alone") for i in range(6)], [make_run(i, "together") for i in range(6)]
    for run in alone:
        fit(run)
    epochs = [run.epoch for run in alone]
    assert len(set(epochs)) >= 3

    ended: dict[int, Array] = {}
    for round_ in drive(together, engine):
        assert set(round_.values()) == {None}
        (epoch,) = {together[i].epoch for i in round_}  # runs that end at the same step end together
        assert set(round_) == {i for i in range(6) if epochs[i] == epoch}
        for i in range(6):
            if i not in ended:  # no run is ahead of the runs that have just ended
                assert together[i].step == together[next(iter(round_))].step
        ended |= {i: together[i].network.w.copy() for i in round_}
    assert len(ended) == 6
    for i, (run, expected) in enumerate(zip(together, alone, strict=True)):
        assert_alike(run, expected)
        assert run.stop_reason == expected.stop_reason
        assert run.network.w.tobytes() == ended[i].tobytes()
        assert run.evaluate(run.data.train, "train") == pytest.approx(
            expected.evaluate(expected.data.train, "train"), rel=CLOSE
        )
        for name in ("best", "last"):
            saved, _ = checkpoint.load(run.folder / "checkpoints" / f"{name}.npz")
            wanted, _ = checkpoint.load(expected.folder / "checkpoints" / f"{name}.npz")
            np.testing.assert_allclose(saved["w"], wanted["w"], rtol=CLOSE, atol=CLOSE)


def draw_regression(seed: int) -> Data:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((23, 4))
    table = Table(x, x @ rng.standard_normal((4, 2)) + 0.1 * rng.standard_normal((23, 2)))
    return Data("drawn", Splits(table, table), table, table, None, Encoder())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("which", range(RUNS))
@pytest.mark.parametrize(("engine", "optimizer"), ENGINES)
def test_a_run_that_diverges_does_not_change_the_other_runs(
    tmp_path: Path, engine: str, optimizer: str, which: int
) -> None:
    def make_run(i: int) -> Trainer:
        return make(
            tmp_path,
            i,
            engine,
            data=draw_regression(i),
            optimizer=optimizer,
            loss="mse",
            hidden=(),
            lr=1e25 if i == which else RATES[optimizer][i] / 10,
            epochs=8,
            batch_size=5,
            log_every=5,  # so a block of batches is exactly one epoch
        )

    alone, together = [make_run(i) for i in range(RUNS)], [make_run(i) for i in range(RUNS)]
    if optimizer == "adam":  # however large the gradient, a step of Adam is no longer than the rate
        for runs in (alone, together):
            runs[which].network.w[...] = 1e160
    with pytest.raises(Diverged) as stopped:
        fit(alone[which])
    others = [i for i in range(RUNS) if i != which]
    for i in others:
        fit(alone[i])

    rounds = drive(together, engine)
    (number, error), *other_ends = next(rounds).items()
    assert (number, other_ends) == (which, [])
    assert isinstance(error, Diverged)
    assert str(error) == str(stopped.value)
    step = int(re.findall(r"at step (\d+)$", error.what)[0])
    assert {together[i].step for i in others} == {ceil(step / 5) * 5}  # the end of the block that diverged
    assert step <= 35
    assert list(rounds) == [dict.fromkeys(others)]
    for i in others:
        assert_alike(together[i], alone[i])
    assert together[which].step == alone[which].step
    assert together[which].history.latest.keys() == alone[which].history.latest.keys()


# --- errors ------------------------------------------------------------------------------------------


class Noting(Callback):
    """Records the errors that ``on_failure`` gets. Can raise an error at a step."""

    def __init__(self, moment: str = "", step: int = 0) -> None:
        self.moment, self.step = moment, step
        self.errors: list[BaseException] = []
        self.error = RuntimeError(f"from {moment}")

    def _reach(self, moment: str, run: Any) -> None:
        if moment == self.moment and run.step == self.step:
            raise self.error

    def on_start(self, run: Any) -> None:
        self._reach("start", run)

    def on_window(self, run: Any) -> None:
        self._reach("window", run)

    def on_epoch(self, run: Any) -> None:
        self._reach("epoch", run)

    def on_end(self, run: Any) -> None:
        self._reach("end", run)

    def on_failure(self, run: Any, error: BaseException) -> None:
        self.errors.append(error)


@pytest.mark.parametrize("which", range(RUNS))
@pytest.mark.parametrize(
    ("moment", "step"), [("start", 0), ("window", 4), ("epoch", 5), ("epoch", 15), ("end", 15)]
)
def test_an_error_in_a_callback_ends_only_its_run(tmp_path: Path, moment: str, step: int, which: int) -> None:
    others = [i for i in range(RUNS) if i != which]
    alone = [make(tmp_path, i, optimizer="adam", lr=0.05) for i in range(RUNS)]
    for i in others:
        fit(alone[i])
    notes = [Noting(moment, step) if i == which else Noting() for i in range(RUNS)]
    together = [
        make(tmp_path, i, optimizer="adam", lr=0.05, callbacks={"noting": notes[i]}) for i in range(RUNS)
    ]
    rounds = list(drive(together))
    error = notes[which].error
    last: dict[int, BaseException | None] = dict.fromkeys(others)
    assert rounds == ([{which: error}, last] if step < 15 else [{**last, which: error}])
    assert together[which].step == step
    assert notes[which].errors == ([error] if moment in ("window", "epoch") else [])
    for i in others:
        assert notes[i].errors == []
        del together[i].callbacks["noting"]  # type: ignore[attr-defined]
        assert_alike(together[i], alone[i])


class Breaking(NumpyEngine):
    """Raises ``MemoryError`` on its third block."""

    name = "breaking"

    def bind(self, network: Network, updater: Updater) -> None:
        super().bind(network, updater)
        self.left = 2

    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        if not self.left:
            raise MemoryError(f"no room for {len(blocks)} blocks")
        self.left -= 1
        return super().advance(blocks)


class Noise(Layer):
    """y = x · n with n drawn from U(0.5, 1.5) for every element while training, else y = x."""

    name = "noise"

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy, n = ctx.array(*x.shape), ctx.array(*x.shape), np.ones_like(x)
        rng = ctx.rng if ctx.training else None

        def forward() -> None:
            if rng is not None:
                n[...] = rng.uniform(0.5, 1.5, n.shape)
            np.multiply(x, n, y)

        def backward() -> None:
            if dx is not None:
                np.multiply(dy, n, dx)

        return Bound(y, dy, forward, backward)


@pytest.fixture
def registered() -> Iterator[None]:
    """Register the engine ``breaking`` until the end of the test."""
    registries["engine"].add("breaking", Breaking, "the tests")
    yield
    registries["engine"].forget(__name__)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("runs", [1, RUNS])
def test_an_error_in_the_engine_ends_all_runs_with_that_error(tmp_path: Path, runs: int) -> None:
    notes = [Noting() for _ in range(runs)]
    together = [make(tmp_path, i, "breaking", callbacks={"noting": notes[i]}) for i in range(runs)]
    (ended,) = drive(together, "breaking")
    assert list(ended) == list(range(runs))
    (error,) = set(ended.values())
    assert isinstance(error, MemoryError)
    assert str(error) == f"no room for {runs} blocks"
    assert [note.errors for note in notes] == [[error]] * runs
    for run in together:
        assert run.step == 4  # two windows of two steps, before the third block
        assert np.isfinite(run.network.w).all()
        assert series(run, "train/loss_window")[0] == [2, 4]


# --- interruption ------------------------------------------------------------------------------------


class InterruptingAll(Callback):
    """Interrupts all runs at a step of its own run, as a signal handler does."""

    def __init__(self, step: int, runs: list[Trainer]) -> None:
        self.step, self.runs = step, runs

    def on_window(self, run: Any) -> None:
        if run.step == self.step:
            for run_of_stack in self.runs:
                run_of_stack.interrupt(signal.SIGTERM)

    on_epoch = on_window


@pytest.mark.parametrize("step", [4, 5, 8])  # within an epoch, at its end, within the next epoch
@pytest.mark.parametrize(("engine", "optimizer"), ENGINES)
def test_each_interrupted_run_is_saved_and_continues_alone(
    tmp_path: Path, engine: str, optimizer: str, step: int
) -> None:
    def make_run(i: int, folder: str, seed: int, callbacks: Mapping[str, Callback] | None = None) -> Trainer:
        return make(
            tmp_path / folder / str(i),
            seed,
            engine,
            data=draw_data(seed=i),
            optimizer=optimizer,
            lr=RATES[optimizer][i],
            schedule="loss_ratio",
            callbacks=callbacks,
        )

    alone = [make_run(i, "alone", i) for i in range(RUNS)]
    for run in alone:
        fit(run)
    together: list[Trainer] = []
    for i in range(
        RUNS
    ):  # the signal comes during the turn of the second run, when the first run is a block ahead
        callbacks = {"interrupting": InterruptingAll(step, together)} if i == 1 else None
        together.append(make_run(i, "together", i, callbacks))
    rounds = list(drive(together, engine))
    assert [set(ended) for ended in rounds] == [{1, 2}, {0}]
    for error in (error for ended in rounds for error in ended.values()):
        assert isinstance(error, Interrupted)
        assert error.signum == signal.SIGTERM
    for i, expected in enumerate(alone):
        continued = make_run(i, "together", seed=i + 50)  # without restored state the results would differ
        continued.restore(*checkpoint.load(continued.folder / "checkpoints" / "last.npz"))
        assert step <= continued.step <= step + 2
        assert continued.step == together[i].step < expected.step
        fit(continued)
        assert_alike(continued, expected)


@pytest.mark.parametrize("step", [4, 5])
def test_several_runs_continue_together_from_their_checkpoints(tmp_path: Path, step: int) -> None:
    def make_run(i: int, seed: int, callbacks: Mapping[str, Callback] | None = None) -> Trainer:
        data = draw_data(seed=i)
        return make(tmp_path / str(i), seed, data=data, optimizer="adam", lr=0.05, callbacks=callbacks)

    alone = [make_run(i, i) for i in range(RUNS)]
    for run in alone:
        fit(run)
    together: list[Trainer] = []
    together += [make_run(i, i, {} if i else {"all": InterruptingAll(step, together)}) for i in range(RUNS)]
    assert [set(ended) for ended in drive(together)] == [set(range(RUNS))]
    continued = [make_run(i, i + 50) for i in range(RUNS)]
    for run in continued:
        run.restore(*checkpoint.load(run.folder / "checkpoints" / "last.npz"))
    assert {run.step for run in continued} == {step}
    assert list(drive(continued)) == [dict.fromkeys(range(RUNS))]
    for run, expected in zip(continued, alone, strict=True):
        assert_alike(run, expected)


class Copying(Callback):
    """Keeps a copy of the checkpoint that is there after an epoch, as the disk of a killed run does."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch(self, run: Any) -> None:
        if run.epoch == self.epoch + 1:  # the checkpoint of this epoch is written after all callbacks
            shutil.copy(run.folder / "checkpoints" / "last.npz", run.folder / "killed.npz")


STACKED_OPTIMIZERS = [
    name for name in registries["optimizer"].names() if registries["optimizer"][name].scope != "search"
]


@pytest.mark.parametrize(
    ("engine", "optimizer", "batch_size"),
    [
        *(("numpy", name, 5) for name in STACKED_OPTIMIZERS),
        *(("online", name, 1) for name in ("sgd", "momentum")),
        *(("numpy", "adam", 1), ("numpy", "adam", 23)),
    ],
)
@pytest.mark.parametrize("own_rates", [True, False], ids=["own rates", "one rate"])
def test_runs_of_a_stack_continue_to_the_same_bits_from_different_steps(
    tmp_path: Path, engine: str, optimizer: str, batch_size: int, own_rates: bool
) -> None:
    """The checkpoints of a killed stack are from different epochs, and one of its runs has finished."""

    def make_run(i: int, seed: int, epochs: int = 4) -> Trainer:
        create = registries["callback"].create
        return make(
            tmp_path / str(i),
            seed,
            engine,
            data=draw_data(seed=i),
            optimizer=optimizer,
            schedule="loss_ratio" if own_rates else "cosine",
            batch_size=batch_size,
            hidden=(33, 7),
            dtype="float32",
            lr=0.02 / (i + 1) if own_rates else 0.02,
            epochs=epochs,
            callbacks={"checkpoint": create("checkpoint"), "copying": Copying((1, 3, 2)[i])},
        )

    whole = [make_run(i, i) for i in range(RUNS)]
    list(drive(whole, engine))
    continued = [make_run(i, i + 50) for i in (0, 2)]
    for run in continued:
        arrays, meta = checkpoint.load(run.folder / "killed.npz")
        run.restore(arrays, meta)
        run.about |= meta["about"]
    assert len({run.step for run in continued}) == 2
    alone = make_run(1, 51)
    arrays, meta = checkpoint.load(alone.folder / "killed.npz")
    alone.restore(arrays, meta)
    alone.about |= meta["about"]
    list(drive(continued, engine))
    list(drive([alone], engine))
    for run, expected in zip([continued[0], alone, continued[1]], whole, strict=True):
        assert_same(run, expected)


# --- runs that cannot be in lockstep -----------------------------------------------------------------


def with_noise(run: Trainer) -> Trainer:
    """A run with random noise on its inputs."""
    old = run.network
    layers = [Noise(), *old.layers]
    run.network = Network(layers, old.loss, old.n_in, run.data.train.y, "float64", run.streams)
    run.updater = Updater(run.updater.optimizer, run.network)
    run.engine = create_engine("numpy", run.network, run.updater, run.settings.batch_size)
    return run


def test_a_stack_refuses_a_layer_that_draws_while_training(tmp_path: Path) -> None:
    plain, noisy = make(tmp_path, 0), with_noise(make(tmp_path, 0))
    for run in (plain, noisy):
        assert list(drive([run])) == [{0: None}]
    assert noisy.step == plain.step
    assert noisy.history.latest["train/loss"] != plain.history.latest["train/loss"]
    with pytest.raises(UsageError, match="draws random numbers while training"):
        Lockstep([with_noise(make(tmp_path, i)) for i in range(2)])


def test_the_scalar_engine_refuses_a_stack(tmp_path: Path) -> None:
    (run,) = runs = [make(tmp_path, 0, "scalar")]
    assert list(drive(runs, "scalar")) == [{0: None}]
    assert run.engine.name == "scalar"
    with pytest.raises(UsageError, match=r"engine=scalar .*: it runs one network at a time"):
        Lockstep([make(tmp_path, i) for i in range(2)], "scalar")


# --- the command line: which runs are trained together -----------------------------------------------


@pytest.mark.parametrize(
    ("command", "together", "remaining"),
    [
        ("lr=0.1", 1, "lr=0.1"),
        ("replicas=3", 3, "-m seed=range(0,3)"),
        ("replicas=3 seed=5 lr=0.1", 3, "-m lr=0.1 seed=range(5,8)"),
        ("-m lr=0.1,0.2 replicas=2", 2, "-m lr=0.1,0.2 seed=range(0,2)"),
        ("-m seed=0,1,2,3 replicas=2", 2, "-m seed=0,1,2,3"),
        ("--multirun seed=range(8) replicas=4", 4, "--multirun seed=range(8)"),
        ("replicas=2 ++seed=7", 2, "-m seed=range(7,9)"),
        ("replicas=2 --cfg=job", 1, "--cfg=job"),
    ],
)
def test_replicas_are_a_sweep_over_seeds(command: str, together: int, remaining: str) -> None:
    replicas, line = take_replicas(CommandLine.parse(command.split()))
    assert (replicas, line.for_hydra()) == (together, remaining.split())


def test_runs_that_differ_only_in_seed_and_rate_are_trained_together() -> None:
    def request(**config: Any) -> Request:
        return Request(OmegaConf.create(config), [], RunFolder(Path("unused")))

    requests = [
        request(seed=seed, lr=lr, model={"hidden": hidden}, run_name=f"{seed} {lr}")
        for hidden in ([10], [20])
        for lr in (0.1, None)
        for seed in (0, 1, 2)
    ]
    small, large = requests[:6], requests[6:]
    assert in_groups(requests, 6) == [small, large]
    assert in_groups(requests, 100) == [small, large]
    assert in_groups(requests, 4) == [small[:4], small[4:], large[:4], large[4:]]
    assert in_groups(requests[::-1], 5) == [large[:0:-1], large[:1], small[:0:-1], small[:1]]


# --- the command line: a sweep over seeds ------------------------------------------------------------


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("replicas")
    ended = mlpframe(folder, "replicas=3", "seed=5", *SMALL)
    client = MlflowClient(tracking_uri=sqlite_uri(folder))
    runs = client.search_runs([client.get_experiment_by_name("mlpframe").experiment_id])
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == len(runs) - 1
    return Swept(folder, ended, client, parent, children)


def test_the_replicas_are_jobs_of_one_sweep_over_the_seeds(swept: Swept) -> None:
    assert swept.ended.returncode == 0, swept.ended.stderr
    assert {job.name: record(job)["seed"] for job in swept.jobs} == {"0": 5, "1": 6, "2": 7}
    assert len(swept.children) == 3
    assert {run.info.status for run in [swept.parent, *swept.children]} == {"FINISHED"}
    assert run_folders(swept.folder) == []
    for job in swept.jobs:
        child = swept.child(job)
        assert child.data.params["seed"] == str(record(job)["seed"])
        assert child.data.tags["mlpframe.replicas"] == "3"
        assert child.data.tags["mlpframe.overrides"] == " ".join([*SMALL, f"seed={record(job)['seed']}"])


def test_each_replica_has_its_own_files(swept: Swept) -> None:
    states = []
    for job in swept.jobs:
        files = {str(path.relative_to(job)) for path in job.rglob("*") if path.is_file()}
        assert files >= {
            "checkpoints/last.npz",
            "checkpoints/best.npz",
            "model/model.npz",
            "history/history.csv",
        }
        arrays, meta = checkpoint.load(job / "checkpoints" / "last.npz")
        assert meta["about"]["config"]["seed"] == record(job)["seed"]
        states.append(arrays["w"])
        run_id = swept.child(job).info.run_id
        assert "checkpoints" in {item.path for item in swept.client.list_artifacts(run_id)}
    assert {state.shape for state in states} == {(502,)}
    assert min(np.abs(states[i] - states[i - 1]).max() for i in range(3)) > 0.01


def test_a_replica_has_the_metrics_of_the_single_command(swept: Swept, tmp_path: Path) -> None:
    ended = mlpframe(tmp_path, "seed=6", "tracking=none", *SMALL)
    assert ended.returncode == 0, ended.stderr
    expected = history(the_run(tmp_path), without_time=True)
    own = history(swept.jobs[1], without_time=True)
    of_mlflow = recorded(swept.client, swept.child(swept.jobs[1]).info.run_id, without_time=True)
    assert len(expected) == 2 * 4
    for rows in (own, of_mlflow):
        assert [row[:2] for row in rows] == [row[:2] for row in expected]
        assert [row[2] for row in rows] == pytest.approx([row[2] for row in expected], rel=1e-5)
    for other in (swept.jobs[0], swept.jobs[2]):
        assert abs(record(other)["metrics"]["train/loss"] - own[-1][2]) > 1e-3


def test_the_table_is_over_the_replicas(swept: Swept) -> None:
    with (swept.sweep / "sweep" / "summary.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["runs"] == "3"
    (shown,) = (line for line in swept.ended.stdout.splitlines() if line.startswith("│ all "))
    for metric in ("train/loss", "val/loss", "val/accuracy"):
        values = [run.data.metrics[metric] for run in swept.children]
        mean, std = statistics.mean(values), statistics.stdev(values)
        assert float(row[metric]) == pytest.approx(mean, rel=1e-12)
        assert f"{mean:.4f} ± {std:.4f}" in shown


# --- the command line, without MLflow ----------------------------------------------------------------

UNRECORDED = ("tracking=none", *SMALL)


def jobs_of(folder: Path) -> list[Path]:
    """The folders of the jobs of the only sweep below ``folder``, in the order of their numbers."""
    jobs = [path for path in folder.glob("outputs/sweeps/*/*/*") if path.name.isdigit()]
    return sorted(jobs, key=lambda job: int(job.name))


def test_a_sweep_over_rates_and_seeds_is_trained_together(tmp_path: Path) -> None:
    ended = mlpframe(tmp_path, "-m", "lr=0.1,0.03", "seed=0,1", "replicas=4", *UNRECORDED)
    assert ended.returncode == 0, ended.stderr
    records = [record(job) for job in jobs_of(tmp_path)]
    assert [job["overrides"][:2] for job in records] == [
        ["lr=0.1", "seed=0"],
        ["lr=0.1", "seed=1"],
        ["lr=0.03", "seed=0"],
        ["lr=0.03", "seed=1"],
    ]
    assert [job["status"] for job in records] == ["finished"] * 4
    assert ended.stdout.count(", 4 replicas\n") == 1
    assert len({job["metrics"]["time/epoch_seconds"] for job in records}) == 1  # the replicas share the steps
    assert len({job["metrics"]["train/loss"] for job in records}) == 4
    for fast, slow in ((0, 2), (1, 3)):
        assert records[fast]["metrics"]["train/loss"] < records[slow]["metrics"]["train/loss"]


def test_wrong_requests_are_answered_in_a_line_and_leave_nothing_behind(tmp_path: Path) -> None:
    expected = {
        "replicas=0": "replicas=0",
        "replicas=x": "replicas=x",
        "replicas=2 hydra/launcher=joblib": "hydra/launcher=",
        "replicas=2 resume=auto": "resume=",
        "resume=one_by_one": "this folder holds runs that were not trained together",
        "replicas=2 seed=-1": "seed=-1",
    }
    RunFolder(tmp_path / "one_by_one", SWEEP).write(status="finished", overrides=["seed=0,1"], replicas=1)
    before = list(tmp_path.rglob("*"))
    outcomes = ask([(tmp_path, (*request.split(), *UNRECORDED)) for request in expected], environment())
    for ended, named in zip(outcomes, expected.values(), strict=True):
        assert (ended.returncode, ended.stdout) == (2, "")
        (line,) = ended.stderr.splitlines()
        assert named in line
    assert list(tmp_path.rglob("*")) == before


def test_a_job_fails_if_an_option_does_not_work_with_replicas(tmp_path: Path) -> None:
    ended = mlpframe(tmp_path, "replicas=2", "engine=scalar", *UNRECORDED)
    assert ended.returncode != 0
    assert [record(job)["status"] for job in jobs_of(tmp_path)] == ["failed", "failed"]
    for number in range(2):
        (line,) = (printed for printed in ended.stdout.splitlines() if printed.startswith(f"job {number} ("))
        assert f"seed={number})" in line
        assert "engine=scalar cannot run this configuration: it runs one network at a time" in line
    assert "2 of 2 jobs did not finish" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_one_replica_that_diverges_leaves_the_others_finished(tmp_path: Path) -> None:
    ended = mlpframe(tmp_path, "-m", "lr=0.1,1e30,0.03", "seed=range(0,1)", "replicas=3", *UNRECORDED)
    assert ended.returncode == 1
    assert ended.stdout.count(", 3 replicas\n") == 1
    jobs = jobs_of(tmp_path)
    assert [record(job)["status"] for job in jobs] == ["finished", "diverged", "finished"]
    (line,) = (printed for printed in ended.stdout.splitlines() if printed.startswith("job "))
    assert line.startswith("job 1 (lr=1e+30 ")
    assert "diverged: the training loss became" in line
    assert "1 of 3 jobs did not finish" in ended.stdout
    assert [(job / "model" / "model.npz").exists() for job in jobs] == [True, False, True]
    for job in (jobs[0], jobs[2]):
        assert [step for step, name, _ in history(job) if name == "val/loss"] == [7, 14]


def test_ctrl_c_saves_all_replicas_and_each_can_be_continued(tmp_path: Path) -> None:
    common = ("dtype=float64", *UNRECORDED)
    status, output, own = interrupt_while_held(tmp_path, "-m", "seed=0,1,2", "replicas=2", *common)
    assert status == 130
    jobs = jobs_of(tmp_path)
    # the third run has not begun
    assert [record(job)["status"] for job in jobs] == ["interrupted"] * 2, output
    for job in jobs:
        assert (job / "checkpoints" / "last.npz").exists()

    (sweep,) = tmp_path.glob("outputs/sweeps/*/*")
    assert f"to continue: python -m mlpframe resume={sweep.relative_to(tmp_path)}" in output
    copied = shutil.copytree(sweep, tmp_path / "copied")

    continued = mlpframe(tmp_path, f"resume={jobs[1]}", "tracking=none", **own)
    assert continued.returncode == 0, continued.stderr

    # the stack is continued as a stack, and trains the run that had not begun
    stack = mlpframe(tmp_path, "resume=copied", **own)
    assert stack.returncode == 0, stack.stderr
    other = tmp_path / "other"
    other.mkdir()
    (other / "let_go").touch()
    uninterrupted = mlpframe(other, "-m", "seed=0,1,2", "replicas=2", "callbacks.hold={}", *common, **own)
    assert uninterrupted.returncode == 0, uninterrupted.stderr
    for job, expected in zip([copied / name for name in "012"], jobs_of(other), strict=True):
        assert record(job)["status"] == "finished"
        assert history(job, without_time=True) == history(expected, without_time=True)
        weights = [checkpoint.load(run / "model" / "model.npz")[0]["w"] for run in (job, expected)]
        assert weights[0].tobytes() == weights[1].tobytes()
    assert history(jobs[1], without_time=True) == history(copied / "1", without_time=True)  # continued alone

    whole = mlpframe(tmp_path, "seed=1", "callbacks.hold={}", *common, **own)
    assert whole.returncode == 0, whole.stderr
    got, expected = (history(run, without_time=True) for run in (jobs[1], the_run(tmp_path)))
    assert record(jobs[1])["status"] == "finished"
    assert [row[:2] for row in got] == [row[:2] for row in expected]
    assert [row[2] for row in got] == pytest.approx([row[2] for row in expected], rel=CLOSE)
