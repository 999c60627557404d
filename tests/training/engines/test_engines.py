"""All engines compute the weights of the engine ``numpy``, which ``test_network`` tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import ceil
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mlpframe import registries
from mlpframe.api import Block, Engine, EngineNetwork, EngineUpdater, Table, UsageError
from mlpframe.training.engines import create_engine, fused
from mlpframe.training.engines.numpy import NumpyEngine
from mlpframe.training.network import Network, build_layers
from mlpframe.training.optim import Updater
from mlpframe.training.rng import Streams

ROWS, FEATURES, CLASSES = 700, 20, 4
DEEP = [{"name": "linear", "units": 13}, "sigmoid", {"name": "linear", "units": 7}, "tanh", "linear"]
SHALLOW = ["linear"]
UNBIASED = [{"name": "linear", "units": 9, "bias": False}, "relu", "linear"]
LINEAR_OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("sgd", {}),
    ("sgd", {"weight_decay": 0.01}),
    ("momentum", {}),
    ("momentum", {"weight_decay": 0.01}),
    ("momentum", {"weight_decay": 0.01, "decoupled": True}),
    ("nesterov", {}),
    ("nesterov", {"weight_decay": 0.01}),
]


def draw_table(loss: str = "cross_entropy", seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    x = rng.random((ROWS, FEATURES))
    if loss == "mse":
        return Table(x, rng.standard_normal((ROWS, CLASSES)))
    return Table(x, rng.integers(0, CLASSES, ROWS))


class Training:
    """A network, an optimizer and an engine that train on one table."""

    def __init__(
        self,
        engine: str,
        *,
        layers: Sequence[Any] = DEEP,
        optimizer: str = "sgd",
        options: dict[str, Any] | None = None,
        loss: str = "cross_entropy",
        batch: int = 1,
        seed: int = 0,
        bind: bool = True,
    ) -> None:
        self.table, self.batch = draw_table(loss), batch
        self.network = Network(
            build_layers(list(layers), CLASSES),
            registries["loss"].create(loss),
            FEATURES,
            self.table.y,
            "float64",
            Streams(seed),
        )
        created = registries["optimizer"].create(optimizer, **(options or {}))
        self.updater = Updater(created, self.network)
        if bind:
            self.engine: Engine = create_engine(engine, self.network, self.updater, batch)

    def blocks(self, epochs: int, window: int, seed: int = 1) -> list[Block]:
        """The blocks of shuffled epochs: a block ends after ``window`` steps or at the end of the epoch.

        The learning rate falls from step to step.
        """
        rng = np.random.default_rng(seed)
        steps = ceil(ROWS / self.batch)
        blocks = []
        for epoch in range(epochs):
            order = rng.permutation(ROWS)
            for start in range(0, steps, window):
                stop = min(start + window, steps)
                rates = [0.05 / (1 + 0.001 * (epoch * steps + i)) for i in range(start, stop)]
                rows = order[start * self.batch : stop * self.batch]
                blocks.append(Block(self.table, rows, self.batch, rates))
        return blocks

    def run(self, blocks: Sequence[Block]) -> tuple[list[float], int]:
        results = [self.engine.advance([block])[0] for block in blocks]
        return [v for result in results for v in result.values], sum(result.correct for result in results)


def assert_same(training: Training, reference: Training, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(training.network.w, reference.network.w, rtol=tolerance, atol=tolerance)
    for name, vector in training.updater.slots.items():
        np.testing.assert_allclose(vector, reference.updater.slots[name], rtol=tolerance, atol=tolerance)
    assert training.updater.step == reference.updater.step


@pytest.mark.parametrize("batch", [1, 3, 10])
@pytest.mark.parametrize(("optimizer", "options"), LINEAR_OPTIMIZERS, ids=str)
def test_online_takes_the_steps_of_numpy(optimizer: str, options: dict[str, Any], batch: int) -> None:
    # 100 steps are no multiple of the 64 rows of a block, and 700 rows are no multiple of the batches.
    how: dict[str, Any] = {"optimizer": optimizer, "options": options, "batch": batch}
    online, reference = Training("online", **how), Training("numpy", **how)
    blocks = reference.blocks(epochs=5 if batch == 1 else 10, window=100)
    losses, correct = online.run(blocks)
    expected, expected_correct = reference.run(blocks)
    assert len(expected) > 3000 or batch > 1
    np.testing.assert_allclose(losses, expected, rtol=1e-10, atol=1e-12)
    assert correct == expected_correct
    assert_same(online, reference)


@pytest.mark.parametrize("layers", [SHALLOW, UNBIASED], ids=["one layer", "without bias"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_online_runs_any_network_that_begins_with_a_linear_layer(
    layers: list[Any], loss: str, optimizer: str
) -> None:
    how: dict[str, Any] = {"layers": layers, "loss": loss, "optimizer": optimizer, "batch": 2}
    online, reference = Training("online", **how), Training("numpy", **how)
    blocks = reference.blocks(epochs=3, window=37)
    np.testing.assert_allclose(online.run(blocks)[0], reference.run(blocks)[0], rtol=1e-10, atol=1e-12)
    assert_same(online, reference)


@pytest.mark.parametrize(
    ("layers", "optimizer", "options", "why"),
    [
        (DEEP, "adam", {}, "not linear in the gradients"),
        (DEEP, "sgd", {"clip_norm": 1.0}, "clipping"),
        (["tanh", "linear"], "sgd", {}, "first layer must be linear, not tanh"),
    ],
)
def test_online_refuses_everything_that_it_cannot_compute_exactly(
    layers: list[Any], optimizer: str, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        Training("online", layers=layers, optimizer=optimizer, options=options)
    auto = Training("auto", layers=layers, optimizer=optimizer, options=options)
    assert auto.engine.name == "numpy"


def test_online_continues_in_the_middle_of_an_epoch_to_the_bit() -> None:
    whole, first, second = (Training("online", optimizer="momentum") for _ in range(3))
    blocks = whole.blocks(epochs=2, window=100)
    whole.run(blocks)
    first.run(blocks[:3])
    second.network.w[...] = first.network.w
    for name, vector in second.updater.slots.items():
        vector[...] = first.updater.slots[name]
    second.updater.step = first.updater.step
    second.run(blocks[3:])
    np.testing.assert_array_equal(second.network.w, whole.network.w)


def test_online_in_float32_has_no_larger_error_than_numpy() -> None:
    def train(engine: str, dtype: str) -> Any:
        table = draw_table()
        layers = build_layers(DEEP, CLASSES)
        loss = registries["loss"].create("cross_entropy")
        network = Network(layers, loss, FEATURES, table.y, dtype, Streams(0))
        updater = Updater(registries["optimizer"].create("sgd"), network)
        runner = create_engine(engine, network, updater, 1)
        order = np.random.default_rng(0).permutation(ROWS)
        for _ in range(3):
            runner.advance([Block(Table(table.x.astype(dtype), table.y), order, 1, [0.03] * ROWS)])
        return network.w.astype(np.float64)

    truth = train("numpy", "float64")
    error = {engine: np.abs(train(engine, "float32") - truth).max() for engine in ("numpy", "online")}
    assert error["online"] <= 2 * error["numpy"] < 1e-4


@pytest.fixture
def one_thread() -> Iterator[None]:
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("batch", [1, 3, 50])
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.01}, {"weight_decay": 0.01, "decoupled": True}])
@pytest.mark.parametrize("small", [0, 10**6], ids=["by BLAS", "by passes"])
def test_fused_takes_the_steps_of_numpy(
    options: dict[str, Any], batch: int, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "SMALL", small)
    how: dict[str, Any] = {"options": options, "batch": batch, "layers": [*UNBIASED[:2], *DEEP]}
    fused_training, reference = Training("fused", **how), Training("numpy", **how)
    blocks = reference.blocks(epochs=5, window=100)
    losses, correct = fused_training.run(blocks)
    expected, expected_correct = reference.run(blocks)
    np.testing.assert_allclose(losses, expected, rtol=1e-10, atol=1e-12)
    assert correct == expected_correct
    assert_same(fused_training, reference)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("options", "why"),
    [({"optimizer": "adam"}, "not optimizer=adam"), ({"options": {"clip_norm": 1.0}}, "clipping")],
)
def test_fused_refuses_everything_that_it_does_not_implement(options: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Training("fused", **options)


def test_fused_refuses_several_threads() -> None:
    with (
        threadpool_limits(2, user_api="blas"),
        pytest.raises(UsageError, match=r"single BLAS thread.*threads=1"),
    ):
        Training("fused")


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "nll"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_scalar_takes_the_steps_of_numpy(activation: str, loss: str, batch: int) -> None:
    tail = ["softmax"] if loss == "nll" else []
    layers = [{"name": "linear", "units": 5}, activation, {"name": "linear", "bias": False}, *tail]
    how: dict[str, Any] = {"layers": layers, "loss": loss, "batch": batch}
    scalar, reference = Training("scalar", **how), Training("numpy", **how)
    blocks = reference.blocks(epochs=2, window=100)
    losses, correct = scalar.run(blocks)
    expected, expected_correct = reference.run(blocks)
    np.testing.assert_allclose(losses, expected, rtol=1e-10, atol=1e-12)
    assert correct == expected_correct
    assert_same(scalar, reference)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"optimizer": "adam"}, "not optimizer=adam"),
        ({"options": {"weight_decay": 0.1}}, "neither weight decay nor clipping"),
    ],
)
def test_scalar_refuses_everything_that_it_does_not_implement(options: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Training("scalar", **options)


def test_scalar_refuses_a_loss_with_options() -> None:
    training = Training("scalar", bind=False)
    training.network.loss = registries["loss"].create("cross_entropy", label_smoothing=0.1)
    with pytest.raises(UsageError, match="it supports loss=cross_entropy with default options only"):
        create_engine("scalar", training.network, training.updater, 1)


@pytest.mark.parametrize("layers", [DEEP, SHALLOW], ids=["deep", "one layer"])
@pytest.mark.parametrize("same_rate", [True, False], ids=["one rate", "own rates"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    ("engine", "optimizer", "options"),
    [
        *(("online", optimizer, options) for optimizer, options in LINEAR_OPTIMIZERS),
        ("numpy", "sgd", {"clip_norm": 0.1}),
        ("numpy", "adam", {}),
        ("numpy", "adamw", {}),
    ],
    ids=str,
)
def test_each_stacked_network_trains_as_if_alone(
    engine: str, optimizer: str, options: dict[str, Any], batch: int, same_rate: bool, layers: list[Any]
) -> None:
    how: dict[str, Any] = {"optimizer": optimizer, "options": options, "batch": batch, "layers": layers}
    alone = [Training(engine, seed=seed, **how) for seed in range(3)]
    stacked = [Training(engine, seed=seed, bind=False, **how) for seed in range(3)]
    network = Network.stacked([training.network for training in stacked])
    updater = Updater.stacked([training.updater for training in stacked], network)
    stack_engine = create_engine(engine, network, updater, batch)
    lanes = [training.blocks(epochs=2, window=150, seed=seed) for seed, training in enumerate(alone)]
    for blocks in zip(*lanes, strict=True):
        rates = [[rate if same_rate else rate / (1 + i) for rate in b.lrs] for i, b in enumerate(blocks)]
        own = [Block(b.table, b.rows, batch, lrs) for b, lrs in zip(blocks, rates, strict=True)]
        results = stack_engine.advance(own)
        for training, block, result in zip(alone, own, results, strict=True):
            (expected,) = training.engine.advance([block])
            np.testing.assert_allclose(result.values, expected.values, rtol=1e-10, atol=1e-12)
            assert result.correct == expected.correct
    for single, member in zip(alone, stacked, strict=True):
        np.testing.assert_allclose(member.network.w, single.network.w, rtol=0, atol=1e-10)
        for name, vector in single.updater.slots.items():
            np.testing.assert_allclose(member.updater.slots[name], vector, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", registries["optimizer"].names())
def test_a_recurrence_is_the_update(name: str) -> None:
    optimizer = registries["optimizer"].create(name)
    if optimizer.recurrence(0.1) is None:
        pytest.skip("its update is not linear in the gradients")
    A, B = (np.array(part) for part in optimizer.recurrence(0.1))
    rng = np.random.default_rng(0)
    state = rng.standard_normal((1 + len(optimizer.slots), 50))
    g = rng.standard_normal(50)
    w, slots = state[0].copy(), {slot: state[1 + i].copy() for i, slot in enumerate(optimizer.slots)}
    optimizer.update(w, g, slots, 0.1, 1, np.empty(50))
    np.testing.assert_allclose([w, *slots.values()], A @ state + np.outer(B, g), rtol=1e-13, atol=1e-13)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("widths", "batch", "engine"),
    [
        ((2, 3, 2), 1, "scalar"),
        ((784, 30, 10), 1, "online"),
        ((784, 30, 10), 50, "fused"),
        ((30, 30, 10), 50, "numpy"),
    ],
)
def test_auto_takes_the_engine_made_for_the_size(widths: tuple[int, ...], batch: int, engine: str) -> None:
    layers = build_layers([{"name": "linear", "units": widths[1]}, "sigmoid", "linear"], widths[2])
    loss = registries["loss"].create("cross_entropy")
    network = Network(layers, loss, widths[0], np.empty(0, np.intp), "float32", Streams(0))
    updater = Updater(registries["optimizer"].create("sgd"), network)
    assert create_engine("auto", network, updater, batch).name == engine


class Third(NumpyEngine):
    """A third-party engine that suits every network."""

    priority = 5


class Low(NumpyEngine):
    """An engine that ``auto`` asks after ``numpy``."""

    priority = -1


class Top(NumpyEngine):
    """An engine that ``auto`` asks first."""

    priority = 100


class Unfit(Top):
    def refuses(self, network: EngineNetwork, updater: EngineUpdater) -> str | None:
        return "nothing suits it"


class Unsuited(Top):
    def suits(self, network: EngineNetwork, batch_size: int) -> bool:
        return False


class FailsToRefuse(Top):
    def refuses(self, network: EngineNetwork, updater: EngineUpdater) -> str | None:
        raise ZeroDivisionError("by a width")


class FailsToSuit(Top):
    def suits(self, network: EngineNetwork, batch_size: int) -> bool:
        raise KeyError("width")


class PriorityInWords(NumpyEngine):
    priority = "high"  # type: ignore[assignment]


@pytest.fixture
def register() -> Iterator[Callable[..., None]]:
    """A function that registers engines until the end of the test."""

    def add(**engines: type[Engine]) -> None:
        for name, cls in engines.items():
            cls.name = name
            registries["engine"].add(name, cls, "the tests")

    yield add
    registries["engine"].forget(__name__)


@pytest.mark.parametrize(
    ("engines", "taken"),
    [
        ({"third": Third}, "third"),
        ({"low": Low}, "numpy"),
        ({"unfit": Unfit, "unsuited": Unsuited}, "numpy"),
        ({"third": Third, "unfit": Unfit, "top": Top}, "top"),
        ({"zulu": Top, "alpha": type("Alpha", (Top,), {"__module__": __name__})}, "alpha"),
    ],
    ids=str,
)
def test_auto_takes_the_suitable_engine_of_highest_priority_then_first_name(
    register: Callable[..., None], engines: dict[str, type[Engine]], taken: str
) -> None:
    register(**engines)
    assert Training("auto", optimizer="adam").engine.name == taken


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (FailsToRefuse, "engine 'broken' failed in refuses: ZeroDivisionError: by a width"),
        (FailsToSuit, "engine 'broken' failed in suits: KeyError: 'width'"),
        (PriorityInWords, "engine 'broken': priority must be a whole number, not 'high'"),
    ],
)
def test_an_engine_that_fails_in_refuses_or_suits_is_named(
    register: Callable[..., None], cls: type[Engine], message: str
) -> None:
    register(broken=cls)
    with pytest.raises(UsageError) as caught:
        Training("auto")
    first, second = str(caught.value).splitlines()
    assert first == message
    assert second.startswith(f"correct the engine in {__file__}, or choose another engine")
    assert Training("numpy").engine.name == "numpy"


def test_the_documented_priorities_are_those_of_the_built_in_engines() -> None:
    built_in = {name: registries["engine"][name].priority for name in ("scalar", "online", "fused", "numpy")}
    assert built_in == {"scalar": 40, "online": 30, "fused": 20, "numpy": 0}
