"""Callbacks: what they record, draw and stop, against computations by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import Array, Bound, Callback, Context, Layer, Splits, Table, UsageError
from mlpframe.training import checkpoint
from mlpframe.training.data.pipeline import Pipeline
from mlpframe.training.data.prepare import Data
from mlpframe.training.network import Network
from mlpframe.training.optim import Updater
from mlpframe.training.rng import Streams
from mlpframe.training.trainer import Settings, Trainer
from tests.running import history, mlpframe, record, run_folders, the_run
from tests.training.test_trainer import Kept, fit

ROWS, CLASSES = 30, 3


def create(name: str, **options: Any) -> Any:
    return registries["callback"].create(name, **options)


def layer(name: str, **options: Any) -> Layer:
    made: Layer = registries["layer"].create(name, **options)
    return made


def draw_data(
    features: int = 4, *, image_shape: tuple[int, int] | None = None, weighted: bool = False
) -> Data:
    """Rows of three classes that can be learned."""
    rng = np.random.default_rng(features)
    direction = rng.standard_normal((features, CLASSES))

    def table(n: int) -> Table:
        x = rng.standard_normal((n, features))
        return Table(x, (x @ direction).argmax(1), rng.uniform(0.5, 1.5, n) if weighted else None)

    train, held = table(ROWS), table(40)
    splits = Splits(train, held, class_names=("a", "b", "c"), image_shape=image_shape)
    return Data("drawn", splits, train, held, None, None, None)


def regression() -> Data:
    data = draw_data()
    train = Table(data.train.x, data.train.x[:, :2].copy())
    return Data("values", Splits(train, train), train, train, None, None, None)


def make(
    folder: Path,
    callbacks: Mapping[str, Callback],
    layers: Sequence[Layer] | None = None,
    data: Data | None = None,
    *,
    optimizer: str = "sgd",
    transforms: Sequence[str] = (),
    epochs: int = 4,
    seed: int = 0,
) -> Trainer:
    data = data or draw_data()
    streams = Streams(seed)
    if layers is None:
        layers = [layer("linear", units=5), layer("tanh"), layer("linear", units=data.splits.n_outputs)]
    pipeline = Pipeline(
        {name: registries["transform"].create(name) for name in transforms}, data.splits, streams
    )
    task = data.splits.task
    network = Network(
        layers,
        registries["loss"].create("cross_entropy" if task == "classification" else "mse"),
        data.train.x.shape[1],
        data.train.y,
        "float64",
        streams,
        weighted=data.train.weights is not None,
        mixed=pipeline.mixes,
    )
    updater = Updater(registries["optimizer"].create(optimizer), network)
    engine = registries["engine"].create("numpy")
    engine.bind(network, updater)
    return Trainer(
        network=network,
        updater=updater,
        schedule=registries["schedule"].create("constant"),
        engine=engine,
        data=data,
        pipeline=pipeline,
        metrics={"accuracy": registries["metric"].create("accuracy")} if task == "classification" else {},
        callbacks=callbacks,
        tracker=Kept(),
        streams=streams,
        settings=Settings(0.1, epochs, 5, 3, True),
        folder=folder,
        title="a run",
        about={},
    )


class Noisy(Layer):
    """Adds normal noise in training and counts how often it did: a layer with a stream and state."""

    name = "noisy"

    def state(self, n_in: int) -> dict[str, Array]:
        return {"count": np.zeros(1)}

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        training, rng, count = ctx.training, ctx.rng, ctx.state["count"]

        def forward() -> None:
            np.copyto(y, x)
            if training:
                np.add(y, 0.1 * rng.standard_normal(y.shape), y)
                np.add(count, 1, count)

        def backward() -> None:
            if dx is not None:
                np.copyto(dx, dy)

        return Bound(y, dy, forward, backward)


def noisy_layers() -> list[Layer]:
    return [layer("linear", units=5), Noisy(), layer("tanh"), layer("linear", units=CLASSES)]


def pixels(file: Path) -> Array:
    """A PNG's colours, ``(height, width, 3)``."""
    from matplotlib.image import imread

    assert file.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    image: Array = imread(file)
    return image[..., :3]


def check_picture(file: Path) -> None:
    image = pixels(file)
    height, width, _ = image.shape
    assert 100 < height < 2000
    assert 400 < width < 2000
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 10  # it is not empty
    assert file.stat().st_size < 500_000


# --- gradient_statistics ------------------------------------------------------------------------------


def softmax_gradient(run: Trainer, rows: int) -> tuple[Array, Array]:
    """Of a single linear layer, by its textbook formula."""
    p = run.network.views(run.network.w)
    x, y, weights = run.data.train.x[:rows], run.data.train.y[:rows], run.data.train.weights
    q = np.exp(x @ p["0.linear.W"] + p["0.linear.b"])
    q /= q.sum(1, keepdims=True)
    q[np.arange(len(y)), y] -= 1
    if weights is not None:
        q *= weights[:rows, None]
    return x.T @ q / len(y), q.mean(0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rows", [1, 12, 500])
def test_norms_are_those_of_the_textbook(tmp_path: Path, rows: int, weighted: bool) -> None:
    data = draw_data(weighted=weighted)
    callbacks = {"g": create("gradient_statistics", rows=rows)}
    run = make(tmp_path, callbacks, [layer("linear", units=CLASSES)], data)
    fit(run)
    dW, db = softmax_gradient(run, rows)
    p = run.network.views(run.network.w)
    expected = {
        "gradient_norm/0.linear.W": np.sqrt((dW**2).sum()),
        "gradient_norm/0.linear.b": np.sqrt((db**2).sum()),
        "weight_norm/0.linear.W": np.sqrt((p["0.linear.W"] ** 2).sum()),
        "weight_norm/0.linear.b": np.sqrt((p["0.linear.b"] ** 2).sum()),
    }
    for name, value in expected.items():
        assert run.latest[name] == pytest.approx(value, rel=1e-12)
        assert run.history.series(name)[0] == [6, 12, 18, 24]  # the updates done after each epoch


def test_every_so_many_epochs(tmp_path: Path) -> None:
    run = make(
        tmp_path,
        {"g": create("gradient_statistics", every=3), "a": create("activation_statistics")},
        epochs=7,
    )
    fit(run)
    assert run.history.series("gradient_norm/2.linear.b")[0] == [18, 36]
    assert len(run.history.series("activation/1.tanh/std")[0]) == 7
    assert isinstance(run.tracker, Kept)
    assert sorted(run.tracker.rows) == sorted(run.history.rows())


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("transforms", [(), ("mixup",)])
def test_a_run_is_the_same_with_and_without_being_looked_at(
    tmp_path: Path, optimizer: str, transforms: tuple[str, ...]
) -> None:
    looks = {"g": create("gradient_statistics"), "a": create("activation_statistics", every=2)}
    runs = [
        make(tmp_path, callbacks, noisy_layers(), optimizer=optimizer, transforms=transforms)
        for callbacks in ({}, looks)
    ]
    for run in runs:
        fit(run)
    without, looked_at = runs
    assert looked_at.network.w.tobytes() == without.network.w.tobytes()
    assert looked_at.network.state["1.noisy.count"] == without.network.state["1.noisy.count"] == [24]
    assert looked_at.streams.state() == without.streams.state()
    for name in without.history.names():
        if not name.startswith("time/"):
            assert looked_at.history.series(name) == without.history.series(name)


def test_what_a_callback_sees_of_the_weights_cannot_be_written(tmp_path: Path) -> None:
    run = make(tmp_path, {})
    for seen in (run.parameters(), run.gradients(5)):
        with pytest.raises(ValueError, match="read-only"):
            seen["0.linear.W"][0, 0] = 1
    run.network.w[0] = 7  # the run itself may
    assert run.parameters()["0.linear.W"][0, 0] == 7


# --- activation_statistics ----------------------------------------------------------------------------


def test_dead_units_are_counted(tmp_path: Path) -> None:
    """Two of eight units have a bias so low that nothing reaches them; one is dead on the sample only."""
    layers = [layer("linear", units=8), layer("relu"), layer("linear", units=CLASSES)]
    run = make(tmp_path, {}, layers)
    p = run.network.views(run.network.w)
    p["0.linear.b"][:] = 10
    p["0.linear.b"][[1, 4]] = -100
    p["0.linear.W"][:, 6], p["0.linear.b"][6] = [1, 0, 0, 0], -run.data.train.x[:12, 0].max()
    callback = create("activation_statistics", rows=12)
    callback.on_epoch(run)
    assert run.latest["activation/1.relu/dead"] == 3 / 8
    assert run.latest["activation/0.linear/dead"] == 0
    x = run.data.train.x
    assert (x[:12] @ p["0.linear.W"] + p["0.linear.b"])[:, 6].max() == 0
    everything = create("activation_statistics")
    everything.on_epoch(run)
    assert run.latest["activation/1.relu/dead"] == (3 if x[:, 0].max() == x[:12, 0].max() else 2) / 8


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("tanh", -1, 1), ("sigmoid", 0, 1), ("softsign", -1, 1), ("hard_tanh", -1, 1), ("hard_sigmoid", 0, 1)],
)
def test_saturated_outputs_are_counted(tmp_path: Path, name: str, low: int, high: int) -> None:
    layers = [layer("linear", units=6), layer(name), layer("linear", units=CLASSES)]
    run = make(tmp_path, {}, layers)
    p = run.network.views(run.network.w)
    p["0.linear.W"][...] *= np.array([0.01, 0.1, 1, 3, 10, 1000])
    create("activation_statistics", margin=0.1).on_epoch(run)
    z = run.data.train.x @ p["0.linear.W"] + p["0.linear.b"]
    function = {
        "tanh": np.tanh,
        "sigmoid": lambda z: (1 + np.tanh(z / 2)) / 2,
        "softsign": lambda z: z / (1 + np.abs(z)),
        "hard_tanh": lambda z: np.clip(z, -1, 1),
        "hard_sigmoid": lambda z: np.clip(z / 6 + 0.5, 0, 1),
    }[name]
    share = (function(z) - low) / (high - low)
    expected = np.mean(np.minimum(share, 1 - share) < 0.1)
    assert 0 < expected < 1
    assert run.latest[f"activation/1.{name}/saturated"] == pytest.approx(expected, abs=1e-12)
    assert "activation/0.linear/saturated" not in run.latest


def test_mean_and_spread_are_those_of_every_layers_outputs(tmp_path: Path) -> None:
    run = make(tmp_path, {"a": create("activation_statistics", rows=20)}, noisy_layers())
    fit(run)
    p = run.network.views(run.network.w)
    hidden = run.data.train.x[:20] @ p["0.linear.W"] + p["0.linear.b"]
    outputs = {
        "0.linear": hidden,
        "1.noisy": hidden,  # no noise in evaluation
        "2.tanh": np.tanh(hidden),
        "3.linear": np.tanh(hidden) @ p["3.linear.W"] + p["3.linear.b"],
    }
    for name, expected in outputs.items():
        assert run.latest[f"activation/{name}/mean"] == pytest.approx(expected.mean(), rel=1e-12)
        assert run.latest[f"activation/{name}/std"] == pytest.approx(expected.std(), rel=1e-12)


# --- pictures -----------------------------------------------------------------------------------------


def test_weights_are_drawn_at_the_end_and_on_the_way(tmp_path: Path) -> None:
    data = draw_data(20, image_shape=(4, 5))
    run = make(tmp_path, {"w": create("weight_pictures", every=2)}, data=data)
    run.callbacks["w"].check(run)
    fit(run)
    drawn = sorted(file.name for file in (tmp_path / "figures").iterdir())
    assert drawn == ["weights.png", "weights_epoch_0002.png", "weights_epoch_0004.png"]
    for name in drawn:
        check_picture(tmp_path / "figures" / name)


def test_positive_weights_are_red_negative_ones_blue(tmp_path: Path) -> None:
    """One unit, its upper half 1 and its lower half -1."""
    data = draw_data(16, image_shape=(4, 4))
    run = make(tmp_path, {}, [layer("linear", units=CLASSES)], data)
    run.network.views(run.network.w)["0.linear.W"][:, 0] = np.repeat([1.0, -1.0], 8)
    create("weight_pictures", units=1).on_end(run)
    image = pixels(tmp_path / "figures" / "weights.png")
    height, width, _ = image.shape
    red, _, blue = image[height // 3, width // 3]
    assert red > 2 * blue
    red, _, blue = image[2 * height // 3, width // 3]
    assert blue > 2 * red


def test_the_units_drawn_are_side_by_side() -> None:
    import importlib

    tiles = importlib.import_module("mlpframe.plugins.callback.weight_pictures").tiles
    images = np.arange(1.0, 61).reshape(5, 3, 4)
    made = tiles(images)
    assert made.shape == (2 * 4 - 1, 3 * 5 - 1)
    for i, (row, column) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]):
        np.testing.assert_array_equal(made[4 * row : 4 * row + 3, 5 * column : 5 * column + 4], images[i])
    assert np.nansum(made) == images.sum()


def test_the_plane_has_the_networks_classes(tmp_path: Path) -> None:
    run = make(tmp_path, {}, [layer("linear", units=CLASSES)], draw_data(2))
    p = run.network.views(run.network.w)
    p["0.linear.W"][...] = [[1, 0, 0], [0, 1, 0]]  # class 0 right of the diagonal, class 1 above it,
    p["0.linear.b"][:] = [0, 0, 0.5]  # class 2 where both are below a half
    callback = create("decision_boundary", resolution=40)
    callback.check(run)
    low, high, seen = callback.plane(run)
    x = run.data.train.x
    np.testing.assert_allclose(high - low, 1.2 * (x.max(0) - x.min(0)))
    np.testing.assert_allclose((high + low) / 2, (x.max(0) + x.min(0)) / 2)
    for i, j in np.random.default_rng(0).integers(0, 40, (200, 2)):
        first, second = low + (np.array([j, i]) + 0.5) / 40 * (high - low)
        assert seen[i, j] == np.argmax([first, second, 0.5])
    assert set(seen.ravel()) == {0, 1, 2}


def test_the_decision_boundary_is_drawn(tmp_path: Path) -> None:
    run = make(tmp_path, {"d": create("decision_boundary", every=3)}, data=draw_data(2))
    fit(run)
    drawn = sorted(file.name for file in (tmp_path / "figures").iterdir())
    assert drawn == ["decision_boundary.png", "decision_boundary_epoch_0003.png"]
    for name in drawn:
        check_picture(tmp_path / "figures" / name)


def test_pictures_are_refused_where_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs images, but the rows of this data set are not images"):
        create("weight_pictures").check(make(tmp_path, {}))
    scaled = [layer("layer_norm"), layer("linear", units=CLASSES)]
    image_data = draw_data(16, image_shape=(4, 4))
    create("weight_pictures").check(make(tmp_path, {}, scaled, image_data))
    with pytest.raises(UsageError, match="no layer of this model has a weight for every pixel"):
        create("weight_pictures").check(make(tmp_path, {}, [layer("softmax")], image_data))
    with pytest.raises(UsageError, match="2 features; this is a classification with 4"):
        create("decision_boundary").check(make(tmp_path, {}))
    with pytest.raises(UsageError, match="2 features; this is a regression with 4"):
        create("decision_boundary").check(make(tmp_path, {}, data=regression()))


# --- stop_at and time_budget --------------------------------------------------------------------------


@pytest.mark.parametrize(("monitor", "mode"), [("val/accuracy", "max"), ("train/loss", "min")])
def test_a_run_stops_at_the_first_epoch_that_reaches_the_value(
    tmp_path: Path, monitor: str, mode: str
) -> None:
    whole = make(tmp_path, {}, epochs=30)
    fit(whole)
    values = whole.history.series(monitor)[1]
    best = max(values) if mode == "max" else min(values)
    value = (values[0] + best) / 2
    reached = [v >= value if mode == "max" else v <= value for v in values]
    expected = reached.index(True) + 1
    assert 1 < expected < 30
    run = make(tmp_path, {"stop_at": create("stop_at", monitor=monitor, value=value, mode=mode)}, epochs=30)
    fit(run)
    assert run.epoch == expected
    assert run.stop_reason == f"{monitor} has reached {value:g}"


def test_equal_is_reached_and_never_is_never(tmp_path: Path) -> None:
    first = make(tmp_path, {}, epochs=1)
    fit(first)
    for value, epochs in ((first.latest["val/loss"], 1), (0.0, 4)):
        run = make(tmp_path, {"s": create("stop_at", monitor="val/loss", value=value, mode="min")})
        fit(run)
        assert run.epoch == epochs


def test_a_metric_that_the_run_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match=r"stop_at\.monitor=val/r2: expected a metric of this run: train/loss, .*val/accuracy",
    ):
        create("stop_at", monitor="val/r2").check(make(tmp_path, {}))


def test_a_run_that_has_reached_its_value_does_not_go_on_when_it_is_continued(tmp_path: Path) -> None:
    def run_of(epochs: int) -> Trainer:
        callback = create("stop_at", monitor="train/loss", value=100.0, mode="min")
        return make(tmp_path, {"stop_at": callback}, epochs=epochs)

    run = run_of(3)
    fit(run)
    assert run.epoch == 1
    again = run_of(3)
    again.restore(*run.state())
    fit(again)
    assert again.epoch == 1
    assert again.stop_reason == run.stop_reason


def test_a_budget_is_used_up_or_not(tmp_path: Path) -> None:
    for seconds, epochs in ((1e-9, 1), (1e6, 4)):
        run = make(tmp_path, {"time_budget": create("time_budget", seconds=seconds)})
        fit(run)
        assert run.epoch == epochs
    assert run.stop_reason is None


class Slow(Callback):
    """Takes its time after every epoch."""

    def on_epoch(self, run: Any) -> None:
        import time

        time.sleep(0.05)


def test_time_is_counted_across_a_continuation(tmp_path: Path) -> None:
    def run_of(epochs: int) -> Trainer:
        callbacks = {"slow": Slow(), "time_budget": create("time_budget", seconds=1000.0)}
        return make(tmp_path, callbacks, epochs=epochs)

    run = run_of(2)
    fit(run)
    used = run.callbacks["time_budget"].state()["seconds"]
    assert used >= 0.1  # two epochs
    assert run.callbacks["time_budget"].state()["seconds"] == used  # no longer counted after the end
    again = run_of(4)
    again.restore(*run.state())
    fit(again)
    assert again.epoch == 4
    assert again.callbacks["time_budget"].state()["seconds"] >= used + 0.1


def test_what_is_left_of_a_budget_is_all_that_a_continued_run_has(tmp_path: Path) -> None:
    callback = create("time_budget", seconds=100.0)
    callback.restore({"seconds": 99.99})
    run = make(tmp_path, {"slow": Slow(), "time_budget": callback})
    fit(run)
    assert run.epoch == 1
    assert run.stop_reason == "the time budget of 100 seconds is used up"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("time_budget", {"seconds": 0}, "seconds must be more than 0, not 0"),
        ("stop_at", {"mode": "most"}, "mode must be min or max, not 'most'"),
        ("stop_at", {"value": float("nan")}, "value must be a number"),
        ("gradient_statistics", {"every": 0}, "every must be at least 1"),
        ("gradient_statistics", {"rows": 0}, "rows must be at least 1"),
        ("activation_statistics", {"rows": 1}, "rows must be at least 2"),
        ("activation_statistics", {"margin": 0.5}, "margin must be more than 0 and less than 0.5"),
        ("weight_pictures", {"every": -1}, "every must be at least 0"),
        ("weight_pictures", {"units": 0}, "units must be at least 1"),
        ("decision_boundary", {"resolution": 1}, "resolution must be at least 2"),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        registries["callback"][name](**options)


# --- whole runs ---------------------------------------------------------------------------------------


def test_a_run_with_pictures_and_statistics(tmp_path: Path) -> None:
    ended = mlpframe(
        tmp_path,
        "dataset=digits",
        "model.hidden=[20]",
        "model.activation=relu",
        "callbacks.gradient_statistics.every=2",
        "callbacks.activation_statistics.rows=100",
        "callbacks.weight_pictures.every=0",
        "callbacks.stop_at.value=0.7",
        "lr=0.3",
        "epochs=40",
        "tracking=none",
    )
    assert ended.returncode == 0, ended.stderr
    run = the_run(tmp_path)
    metrics = record(run)["metrics"]
    assert metrics["val/accuracy"] >= 0.7
    assert "val/accuracy has reached 0.7" in ended.stdout
    check_picture(run / "figures" / "weights.png")
    rows = history(run)
    epochs = sorted(step for step, name, _ in rows if name == "val/accuracy")
    assert len(epochs) < 40
    assert sorted(step for step, name, _ in rows if name == "activation/1.relu/dead") == epochs
    assert sorted(step for step, name, _ in rows if name == "gradient_norm/0.linear.W") == epochs[1::2]


def test_a_run_with_a_budget_keeps_the_time_in_its_checkpoint(tmp_path: Path) -> None:
    command = ("dataset=iris", "callbacks.time_budget.seconds=1000", "epochs=3", "tracking=none")
    ended = mlpframe(tmp_path, *command)
    assert ended.returncode == 0, ended.stderr
    _, meta = checkpoint.load(the_run(tmp_path) / "checkpoints" / "last.npz")
    assert 0 < meta["callbacks"]["time_budget"]["seconds"] < 600


def test_pictures_of_two_features_on_iris_are_refused(tmp_path: Path) -> None:
    ended = mlpframe(tmp_path, "dataset=iris", "callbacks.decision_boundary={}", "tracking=none")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "callbacks.decision_boundary needs a classification with 2 features, not a classification with 4"
    ]
    assert run_folders(tmp_path) == []
