"""A whole model as ONNX predicts from the columns of a table what mlpframe predicts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mlpframe
from mlpframe.training.predictor import Predictor

onnx = pytest.importorskip("onnx", reason="ONNX needs the extra onnx-test")
runtime = pytest.importorskip("onnxruntime", reason="ONNX needs the extra onnx-test")
pytestmark = pytest.mark.onnx

from onnx.reference import ReferenceEvaluator  # noqa: E402 - after the module may have been skipped

from mlpframe.training.onnx_model import whole_model, write_onnx  # noqa: E402

Run = Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]
ROWS = 400
EMBEDDED = "[{name: embedding, dim: 3}, {name: linear, units: 8}, tanh, linear]"
CITIES = np.array(["Łódź", "other", "New York", "missing"], object)


def by_onnxruntime(model: Any) -> Run:
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda columns: session.run(None, dict(columns))


def by_reference(model: Any) -> Run:
    evaluator = ReferenceEvaluator(model)
    return lambda columns: evaluator.run(None, dict(columns))


both_runtimes = pytest.mark.parametrize("runs", [by_onnxruntime, by_reference])


def draw_table(rows: int, seed: int) -> pd.DataFrame:
    """A table with every kind of column, missing values, and columns called like values of the graph."""
    rng = np.random.default_rng(seed)
    seconds = rng.integers(-5_000_000_000, 8_000_000_000, rows)  # from 1811 to 2223
    frame = pd.DataFrame(
        {
            "label": rng.normal(1e6, 3e4, rows),
            "constant_0": rng.choice(CITIES, rows),
            "Cast_1": pd.to_datetime(seconds, unit="s", utc=True),
            "is paid": rng.random(rows) < 0.3,
            "count": rng.integers(0, 40, rows),
        }
    )
    for column in ("label", "constant_0", "Cast_1"):
        frame.loc[rng.random(rows) < 0.1, column] = None
    return frame


def as_inputs(model: Any, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """The columns as the file expects them: float64, text, or seconds since 1970."""
    inputs = {}
    for name in (each.name for each in model.graph.input):
        column = frame[name]
        if column.dtype.kind in "Mm":
            dates = column.dt.tz_localize(None).to_numpy("datetime64[s]")
            values = dates.astype(np.int64)  # a missing date becomes the lowest integer
        elif pd.api.types.is_numeric_dtype(column):
            values = column.to_numpy(np.float64)
        else:
            values = column.fillna("").to_numpy(object)
        inputs[name] = values[:, None]
    return inputs


def train(x: Any, y: Any, *overrides: str, **settings: Any) -> Predictor:
    quiet = ["callbacks.progress=null", "callbacks.checkpoint=null", *overrides]
    run = mlpframe.fit(x, y, *quiet, tracking="none", threads=1, epochs=3, batch_size=32, **settings)
    return Predictor(run.folder / "model" / "model.npz")


def assert_close(computed: np.ndarray, expected: np.ndarray) -> None:
    assert computed.shape == expected.shape
    assert np.isfinite(expected).all()
    assert (np.abs(computed - expected) <= 1e-5 * np.maximum(1, np.abs(expected))).all()


@both_runtimes
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["dataset.missing=indicate", "dataset.scaling=robust"],
        ["dataset.scaling=none", "dataset.ignore=[label]"],
        ["dataset.encoding=codes", f"model.layers={EMBEDDED}", "model=layers", "dtype=float64"],
        ["dataset.max_categories=2"],
    ],
)
def test_a_table_of_every_kind_of_column(overrides: list[str], runs: Callable[[Any], Run]) -> None:
    frame = draw_table(ROWS, seed=0)
    frame["kind"] = np.where(frame["count"] % 3 == 0, "good", "bad")
    predictor = train(frame, "kind", "dataset.task=classification", *overrides)
    model = whole_model(predictor)
    run = runs(model)
    for rows in (1, 7, 1000):
        new = draw_table(rows, seed=rows)
        new.loc[new["constant_0"] == "Łódź", "constant_0"] = "a city never seen"
        label, probabilities = run(as_inputs(model, new))
        expected = predictor.predict(new)
        assert_close(probabilities, expected)
        decided = np.abs(expected[:, 0] - 0.5) > 1e-5
        assert (
            label[decided, 0].tolist()
            == predictor.encoder.target.labels(expected.argmax(1))[decided].tolist()
        )


@both_runtimes
@pytest.mark.parametrize("loss", ["mse", "poisson"])
def test_values_are_in_the_unit_of_the_target(loss: str, runs: Callable[[Any], Run]) -> None:
    frame = draw_table(ROWS, seed=1)
    frame["price"] = 300_000 + 1000.0 * frame["count"]
    frame["age"] = 1.0 + frame["count"]
    targets = ["price", "age"] if loss == "mse" else "age"
    used = frame if loss == "mse" else frame.drop(columns="price")
    predictor = train(used, targets, loss=loss, lr=0.001)
    model = whole_model(predictor)
    (prediction,) = runs(model)(as_inputs(model, frame))
    expected = predictor.predict(frame)
    assert_close(prediction, expected)
    names = {each.key: json.loads(each.value) for each in model.metadata_props}
    assert names == {"classes": [], "targets": targets if loss == "mse" else ["age"]}


@both_runtimes
@pytest.mark.parametrize("labels", [np.array([False, True]), np.array([7, 12]), np.array(["no", "yes"])])
def test_labels_are_those_of_the_training_table(labels: np.ndarray, runs: Callable[[Any], Run]) -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((ROWS, 3)).astype("f4")
    predictor = train(x, labels[(x[:, 0] > 0).astype(int)], optimizer="adam", lr=0.01)
    label, probabilities = runs(whole_model(predictor))({"x": x.astype("f8")})
    expected = predictor.predict(x)
    assert_close(probabilities, expected)
    assert label[:, 0].tolist() == labels[expected.argmax(1)].tolist()


@both_runtimes
def test_an_array_with_missing_values_and_several_classes_a_row(runs: Callable[[Any], Run]) -> None:
    rng = np.random.default_rng(3)
    x = 100 + 20 * rng.standard_normal((ROWS, 4))
    y = (x[:, :3] > 100).astype(int)
    x[rng.random(x.shape) < 0.1] = np.nan
    predictor = train(x, y, "dataset.missing=indicate", dtype="float64")
    labels, probabilities = runs(whole_model(predictor))({"x": x})
    expected = predictor.predict(x)
    assert_close(probabilities, expected)
    assert (labels == (expected > 0.5)).all()


def test_a_loss_with_scores_calls_its_output_scores(tmp_path: Path) -> None:
    x = np.random.default_rng(5).standard_normal((ROWS, 2))
    predictor = train(x, (x[:, 0] > 0).astype(int), loss="hinge")
    write_onnx(predictor, tmp_path / "models" / "model.onnx")
    model = onnx.load(tmp_path / "models" / "model.onnx")
    assert [each.name for each in model.graph.output] == ["label", "scores"]
    assert [file.name for file in (tmp_path / "models").iterdir()] == ["model.onnx"]
    assert_close(by_onnxruntime(model)({"x": x})[1], predictor.predict(x))
