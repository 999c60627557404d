"""Callbacks record the right numbers, draw the right pictures and stop runs at the right epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import Array, Callback, Layer, Splits, Table, UsageError
from mlpframe.training.data.pipeline import Pipeline
from mlpframe.training.data.prepare import Data
from mlpframe.training.data.table import Encoder
from mlpframe.training.network import Network
from mlpframe.training.optim import Updater
from mlpframe.training.rng import Streams
from mlpframe.training.trainer import Settings, Trainer
from tests.training.test_trainer import Kept, fit

ROWS, CLASSES = 30, 3


def create(name: str, **options: Any) -> Any:
    return registries["callback"].create(name, **options)


def layer(name: str, **options: Any) -> Layer:
    created: Layer = registries["layer"].create(name, **options)
    return created


def draw_data(
    features: int = 4, *, image_shape: tuple[int, int] | None = None, weighted: bool = False
) -> Data:
    """Random rows of three classes, which a linear function of the features separates."""
    rng = np.random.default_rng(features)
    direction = rng.standard_normal((features, CLASSES))

    def table(n: int) -> Table:
        x = rng.standard_normal((n, features))
        return Table(x, (x @ direction).argmax(1), rng.uniform(0.5, 1.5, n) if weighted else None)

    train, held = table(ROWS), table(40)
    splits = Splits(train, held, class_names=("a", "b", "c"), image_shape=image_shape)
    return Data("drawn", splits, train, held, None, Encoder())


def regression() -> Data:
    data = draw_data()
    train = Table(data.train.x, data.train.x[:, :2].copy())
    return Data("values", Splits(train, train), train, train, None, Encoder())


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


def noisy_layers() -> list[Layer]:
    """A network that draws random numbers and keeps state while it trains."""
    names = ("gaussian_noise", "batch_norm", "tanh")
    return [layer("linear", units=5), *map(layer, names), layer("linear", units=CLASSES)]


def pixels(file: Path) -> Array:
    """A PNG's colors, ``(height, width, 3)``."""
    from matplotlib.image import imread

    assert file.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    image: Array = imread(file)
    return image[..., :3]


# --- gradient_statistics ------------------------------------------------------------------------------


def softmax_gradient(run: Trainer, rows: int) -> tuple[Array, Array]:
    """Gradients of W and b for a network of one linear layer and cross-entropy, by the textbook formula."""
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
def test_recorded_norms_agree_with_the_textbook_gradient(tmp_path: Path, rows: int, weighted: bool) -> None:
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
        assert run.history.series(name)[0] == [6, 12, 18, 24]  # updates done by the end of each epoch


def test_records_are_made_every_so_many_epochs(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("transforms", [(), ("mixup",)])
def test_statistics_callbacks_do_not_change_the_run(tmp_path: Path, transforms: tuple[str, ...]) -> None:
    looks = {"g": create("gradient_statistics"), "a": create("activation_statistics", every=2)}
    without, looked_at = (
        make(tmp_path, callbacks, noisy_layers(), optimizer="adam", transforms=transforms)
        for callbacks in ({}, looks)
    )
    for run in (without, looked_at):
        fit(run)
    assert looked_at.network.w.tobytes() == without.network.w.tobytes()
    for name, array in without.network.state.items():
        assert looked_at.network.state[name].tobytes() == array.tobytes()
    assert looked_at.streams.state() == without.streams.state()
    for name in without.history.names():
        if not name.startswith("time/"):
            assert looked_at.history.series(name) == without.history.series(name)


def test_a_callback_gets_weights_and_gradients_that_it_cannot_write(tmp_path: Path) -> None:
    run = make(tmp_path, {})
    for seen in (run.parameters(), run.gradients(5)):
        with pytest.raises(ValueError, match="read-only"):
            seen["0.linear.W"][0, 0] = 1
    run.network.w[0] = 7  # the run itself may write its weights
    assert run.parameters()["0.linear.W"][0, 0] == 7


# --- activation_statistics ----------------------------------------------------------------------------


def test_dead_units_are_counted(tmp_path: Path) -> None:
    """Two of eight units have a bias so low that their output is 0 in every row.

    The output of a third unit is 0 in the rows that the callback looks at, but not in all rows.
    """
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


def test_mean_and_spread_are_those_of_every_layer_s_outputs(tmp_path: Path) -> None:
    layers = [layer("linear", units=5), layer("gaussian_noise"), layer("tanh")]
    run = make(
        tmp_path, {"a": create("activation_statistics", rows=20)}, [*layers, layer("linear", units=CLASSES)]
    )
    fit(run)
    p = run.network.views(run.network.w)
    hidden = run.data.train.x[:20] @ p["0.linear.W"] + p["0.linear.b"]
    outputs = {
        "0.linear": hidden,
        "1.gaussian_noise": hidden,  # evaluation mode adds no noise
        "2.tanh": np.tanh(hidden),
        "3.linear": np.tanh(hidden) @ p["3.linear.W"] + p["3.linear.b"],
    }
    for name, expected in outputs.items():
        assert run.latest[f"activation/{name}/mean"] == pytest.approx(expected.mean(), rel=1e-12)
        assert run.latest[f"activation/{name}/std"] == pytest.approx(expected.std(), rel=1e-12)


# --- pictures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("callback", "picture"), [("weight_pictures", "weights"), ("decision_boundary",) * 2]
)
def test_pictures_are_drawn_at_the_end_and_on_the_way(tmp_path: Path, callback: str, picture: str) -> None:
    data = draw_data(20, image_shape=(4, 5)) if picture == "weights" else draw_data(2)
    run = make(tmp_path, {"c": create(callback, every=3)}, data=data)
    run.callbacks["c"].check(run)
    fit(run)
    files = sorted((tmp_path / "figures").iterdir())
    assert [file.name for file in files] == [f"{picture}.png", f"{picture}_epoch_0003.png"]
    for file in files:
        image = pixels(file)
        height, width, _ = image.shape
        assert 100 < height < 2000
        assert 400 < width < 2000
        assert len(np.unique(image)) > 10  # the picture is not empty
        assert file.stat().st_size < 500_000


def test_positive_weights_are_red_negative_ones_blue(tmp_path: Path) -> None:
    """The weights of the drawn unit are 1 in the upper half of the image and -1 in the lower half."""
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


def test_the_images_of_the_units_are_arranged_in_a_grid() -> None:
    import importlib

    tiles = importlib.import_module("mlpframe.plugins.callback.weight_pictures").tiles
    images = np.arange(1.0, 61).reshape(5, 3, 4)
    picture = tiles(images)
    assert picture.shape == (2 * 4 - 1, 3 * 5 - 1)
    for i, (row, column) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]):
        np.testing.assert_array_equal(picture[4 * row : 4 * row + 3, 5 * column : 5 * column + 4], images[i])
    assert np.nansum(picture) == images.sum()


def test_the_plane_shows_the_class_that_the_network_predicts_at_each_place(tmp_path: Path) -> None:
    run = make(tmp_path, {}, [layer("linear", units=CLASSES)], draw_data(2))
    p = run.network.views(run.network.w)
    p["0.linear.W"][...] = [[1, 0, 0], [0, 1, 0]]  # predicts class 0 if x0 is largest, 1 if x1 is,
    p["0.linear.b"][:] = [0, 0, 0.5]  # and class 2 where both are below 0.5
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


def test_pictures_are_refused_where_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs images, but the rows of this data set are not images"):
        create("weight_pictures").check(make(tmp_path, {}))
    scaled = [layer("layer_norm"), layer("linear", units=CLASSES)]
    image_data = draw_data(16, image_shape=(4, 4))
    create("weight_pictures").check(make(tmp_path, {}, scaled, image_data))
    with pytest.raises(UsageError, match="no layer of this model has a weight for every pixel"):
        create("weight_pictures").check(make(tmp_path, {}, [layer("softmax")], image_data))
    with pytest.raises(UsageError, match="2 features, not a classification with 4"):
        create("decision_boundary").check(make(tmp_path, {}))
    with pytest.raises(UsageError, match="2 features, not a regression with 4"):
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


class Slow(Callback):
    """Waits for a twentieth of a second after every epoch."""

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
    assert used >= 0.1  # two epochs of at least 0.05 s
    assert run.callbacks["time_budget"].state()["seconds"] == used  # time after the run does not count
    again = run_of(4)
    again.restore(*run.state())
    fit(again)
    assert again.epoch == 4
    assert again.callbacks["time_budget"].state()["seconds"] >= used + 0.1


def test_a_continued_run_has_only_the_remaining_time_of_its_budget(tmp_path: Path) -> None:
    callback = create("time_budget", seconds=100.0)
    callback.restore({"seconds": 99.99})
    run = make(tmp_path, {"slow": Slow(), "time_budget": callback})
    fit(run)
    assert run.epoch == 1
    assert run.stop_reason == "the time budget of 100 seconds is used up"
