"""The scikit-learn classes: scikit-learn's own checks, and what its users do with an estimator."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

import mlpframe
from mlpframe import MLPClassifier, MLPRegressor, registries
from mlpframe.api import UsageError
from mlpframe.estimators import SMALL
from mlpframe.training import Diverged

IRIS, DIABETES = load_iris(return_X_y=True), load_diabetes(return_X_y=True)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread: on a busy machine, the threads of small fits mostly wait for each other."""
    with threadpool_limits(1):
        yield


def bits(estimator: Any) -> bytes:
    return bytes(estimator.network_.w.tobytes())


# scikit-learn's contract ----------------------------------------------------------------------------


# No check is expected to fail. 20 epochs are enough to learn the small tables of the checks.
@parametrize_with_checks([MLPClassifier(epochs=20), MLPRegressor(epochs=20)])
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_every_parameter_is_documented(cls: type) -> None:
    text = cls.__init__.__doc__ or ""
    assert [name for name in cls().get_params() if f"            {name}: " not in text] == []


def test_the_classes_are_in_the_package_s_directory() -> None:
    assert {"MLPClassifier", "MLPRegressor"} <= set(dir(mlpframe)) & set(mlpframe.__all__)


# results --------------------------------------------------------------------------------------------


def test_the_classifier_learns_iris_and_names_its_classes() -> None:
    x, y = IRIS
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = MLPClassifier(epochs=50, lr=0.01, random_state=0).fit(x, names)
    assert model.score(x, names) > 0.95
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    probabilities = model.predict_proba(x)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-12)
    assert (model.predict(x) == model.classes_[probabilities.argmax(1)]).all()
    np.testing.assert_allclose(np.exp(model.predict_log_proba(x)), probabilities, rtol=1e-12)


def test_a_regression_predicts_in_the_target_s_own_unit() -> None:
    x, y = DIABETES
    options = {"epochs": 30, "random_state": 0}
    model, shifted = (MLPRegressor(**options).fit(x, target) for target in (y, 1e6 + 1000 * y))
    assert model.score(x, y) > 0.45
    np.testing.assert_allclose(shifted.predict(x), 1e6 + 1000 * model.predict(x), rtol=1e-9)


def test_several_targets_are_predicted_together() -> None:
    x, y = DIABETES
    both = np.column_stack([y, -2 * y])
    predicted = MLPRegressor(epochs=30, random_state=0).fit(x, both).predict(x)
    assert predicted.shape == both.shape
    assert np.corrcoef(predicted[:, 0], predicted[:, 1])[0, 1] < -0.95


def test_a_row_may_have_several_classes() -> None:
    x, y = make_multilabel_classification(200, 10, n_classes=3, random_state=0)
    model = MLPClassifier(epochs=30, lr=0.01, random_state=0).fit(x, y)
    probabilities = model.predict_proba(x)
    assert probabilities.shape == y.shape
    assert (model.predict(x) == (probabilities > 0.5)).all()
    assert (model.predict(x) == y).mean() > 0.9
    assert model.classes_.tolist() == [0, 1, 2]


def test_the_seed_decides_every_bit() -> None:
    x, y = IRIS
    first, again, other = (
        MLPClassifier(epochs=3, random_state=seed).fit(x, y) for seed in (1, np.int64(1), 2)
    )
    assert bits(first) == bits(again) != bits(other)
    state = np.random.RandomState(5)
    one, two = (MLPClassifier(epochs=1, random_state=state).fit(x, y) for _ in range(2))
    assert bits(one) != bits(two)


def test_a_weight_counts_like_repeated_rows_in_the_scaling_too() -> None:
    x, y = DIABETES
    weights = np.random.default_rng(0).integers(0, 4, len(y))
    options = {"batch_size": 10_000, "epochs": 20, "dtype": "float64", "random_state": 0}
    weighted = MLPRegressor(**options).fit(x, y, sample_weight=weights)
    repeated = MLPRegressor(**options).fit(x.repeat(weights, 0), y.repeat(weights))
    np.testing.assert_allclose(
        weighted.encoder_.scaling.shift, repeated.encoder_.scaling.shift, rtol=1e-9, atol=1e-15
    )
    np.testing.assert_allclose(weighted.encoder_.scaling.scale, repeated.encoder_.scaling.scale, rtol=1e-9)
    np.testing.assert_allclose(weighted.predict(x), repeated.predict(x), rtol=1e-7)


@pytest.mark.parametrize("missing", ["impute", "indicate"])
def test_a_weight_counts_like_repeated_rows_in_imputing_too(missing: str) -> None:
    x, y = DIABETES
    rng = np.random.default_rng(1)
    weights = rng.integers(0, 4, len(y))
    gappy = np.where(rng.random(x.shape) < 0.1, np.nan, x)
    options = {"missing": missing, "batch_size": 10_000, "epochs": 5, "random_state": 0}
    weighted = MLPRegressor(**options).fit(gappy, y, sample_weight=weights)
    repeated = MLPRegressor(**options).fit(gappy.repeat(weights, 0), y.repeat(weights))
    np.testing.assert_allclose(weighted.predict(gappy), repeated.predict(gappy), rtol=1e-7)


def test_the_type_of_the_arithmetic_follows_the_inputs() -> None:
    large = np.random.default_rng(0).normal(size=(SMALL // 100 + 1, 100))
    for x, expected in ((large[:50], "float64"), (large[:50].astype("f"), "float32"), (large, "float32")):
        model = MLPRegressor(hidden=(), epochs=1, random_state=0).fit(x, x[:, 0])
        assert model.network_.dtype == expected
    model = MLPRegressor(hidden=(), epochs=1, dtype="float64").fit(large, large[:, 0])
    assert model.network_.dtype == "float64"


# components -----------------------------------------------------------------------------------------


def test_a_component_is_a_name_a_mapping_or_an_instance() -> None:
    x, y = IRIS
    names = {"optimizer": "nadam", "activation": "tanh", "init": "he", "loss": "focal", "engine": "numpy"}
    kinds = {"activation": "layer", "init": "initializer"}
    forms = (
        names,
        {key: {"name": name} for key, name in names.items()},
        {key: registries[kinds.get(key, key)].create(name) for key, name in names.items()},
    )
    by_name, by_mapping, by_instance = (
        MLPClassifier(epochs=2, random_state=0, **form).fit(x, y) for form in forms
    )
    assert bits(by_name) == bits(by_mapping) == bits(by_instance)
    assert bits(by_name) != bits(MLPClassifier(epochs=2, random_state=0).fit(x, y))


def test_fit_leaves_an_instance_with_state_as_it_was() -> None:
    x, y = IRIS
    schedule = registries["schedule"].create({"name": "loss_ratio", "update_step": 2})
    before = dict(vars(schedule))
    model = MLPClassifier(epochs=3, optimizer="sgd", schedule=schedule, random_state=0)
    assert bits(model.fit(x, y)) == bits(clone(model).fit(x, y))
    assert vars(schedule) == before


def test_a_model_of_any_layers_takes_the_place_of_hidden() -> None:
    x, y = IRIS
    layers = [{"name": "linear", "units": 7}, "relu", {"name": "dropout"}, "linear"]
    model = MLPClassifier(model={"name": "layers", "layers": layers}, epochs=1).fit(x, y)
    assert [layer.name for layer in model.network_.layers] == ["linear", "relu", "dropout", "linear"]
    assert model.network_.widths == [4, 7, 7, 7, 3]


def test_an_average_of_the_weights_is_what_predicts() -> None:
    x, y = IRIS
    model = MLPClassifier(optimizer={"name": "ema", "decay": 0.9}, epochs=3, random_state=0).fit(x, y)
    predicted = model.predict_proba(x)
    model.network_.w[...] = 0  # changes the trained weights, but not their average, which predicts
    assert (model.predict_proba(x) == predicted).all()


# validation, callbacks, history ---------------------------------------------------------------------


def test_validation_rows_are_held_out_or_given() -> None:
    x, y = IRIS
    odd = np.arange(150) % 2 == 1
    share = MLPClassifier(epochs=4, validation=0.2, random_state=0).fit(x, y)
    given = MLPClassifier(epochs=4, validation=(x[odd], y[odd]), random_state=0).fit(x[~odd], y[~odd])
    assert share.history_.series("val/loss")[0] == [4, 8, 12, 16]  # 120 rows in batches of 32
    assert given.history_.series("val/accuracy")[1][-1] == given.score(x[odd], y[odd])
    assert given.history_.series("val/loss")[0] == [3, 6, 9, 12]
    assert "val/loss" not in MLPClassifier(epochs=1).fit(x, y).history_.names()


def test_a_callback_stops_the_fit() -> None:
    x, y = IRIS
    stop = {"name": "early_stopping", "monitor": "train/loss", "patience": 1, "min_delta": 10.0}
    model = MLPClassifier(callbacks=[stop], random_state=0).fit(x, y)
    assert model.n_iter_ == len(model.loss_curve_) == 2


def test_nothing_is_written_unless_a_callback_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = IRIS
    MLPClassifier(epochs=2, validation=0.2).fit(x, y)
    assert list(tmp_path.iterdir()) == []
    MLPClassifier(epochs=2, callbacks=["checkpoint"], folder=tmp_path / "run").fit(x, y)
    assert [file.name for file in tmp_path.rglob("*.npz")] == ["last.npz"]


# partial_fit ----------------------------------------------------------------------------------------


def test_partial_fit_is_one_pass_of_fit() -> None:
    x, y = IRIS
    whole = MLPClassifier(epochs=1, random_state=0).fit(x, y)
    part = MLPClassifier(random_state=0).partial_fit(x, y, classes=[0, 1, 2])
    assert bits(whole) == bits(part)


def test_partial_fit_continues_with_optimizer_scaling_and_history() -> None:
    x, y = IRIS
    fitted, called = MLPClassifier(epochs=3, random_state=0).fit(x, y), MLPClassifier(random_state=0)
    for _ in range(3):
        called.partial_fit(x, y, classes=[0, 1, 2])
    assert bits(fitted) == bits(called)
    assert called.history_.series("train/loss") == fitted.history_.series("train/loss")
    assert called.n_iter_ == 3
    shift = called.encoder_.scaling.shift
    called.partial_fit(x[:10] + 100, y[:10])
    assert called.encoder_.scaling.shift is shift
    assert called.history_.series("train/loss")[0][-1] == 16


def test_partial_fit_knows_classes_that_its_first_rows_lack() -> None:
    x, y = IRIS
    model = MLPClassifier(random_state=0).partial_fit(x[:50], y[:50], classes=[0, 1, 2])
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.predict_proba(x).shape == (150, 3)
    with pytest.raises(ValueError, match="y has the class 7; expected the classes 0, 1, 2"):
        model.partial_fit(x[:3], [0, 1, 7])
    with pytest.raises(ValueError, match="classes must be passed"):
        MLPClassifier().partial_fit(x, y)


@pytest.mark.parametrize("weighted_first", [True, False])
def test_weights_may_come_and_go_between_calls(weighted_first: bool) -> None:
    x, y = IRIS
    weights = np.arange(1.0, 151)
    first, second = (weights, None) if weighted_first else (None, weights)
    options = {"batch_size": 150, "scaling": "none", "optimizer": "sgd", "random_state": 0}
    model, only_second = (MLPClassifier(**options) for _ in range(2))
    model.partial_fit(x, y, classes=[0, 1, 2], sample_weight=first)
    only_second.partial_fit(x, y, classes=[0, 1, 2], sample_weight=second)
    only_second.network_.w[...] = model.network_.w
    for estimator in (model, only_second):
        estimator.partial_fit(x, y, sample_weight=second)
    assert bits(model) == bits(only_second)


# pickles, copies, other processes -------------------------------------------------------------------


def test_a_pickled_estimator_predicts_and_continues_to_the_same_bits() -> None:
    x, y = IRIS
    model = MLPClassifier(optimizer={"name": "ema"}, epochs=2, random_state=0).fit(x, y)
    copy = pickle.loads(pickle.dumps(model))
    assert (copy.predict_proba(x) == model.predict_proba(x)).all()
    assert bits(copy.partial_fit(x, y)) == bits(model.partial_fit(x, y))
    assert bits(model) != bits(MLPClassifier(epochs=2, random_state=0).fit(x, y))


def test_a_new_process_reads_the_pickle(tmp_path: Path) -> None:
    x, y = IRIS
    model = MLPClassifier(optimizer=registries["optimizer"].create("lion"), epochs=2, random_state=0)
    file = tmp_path / "model.pickle"
    file.write_bytes(pickle.dumps((model.fit(x, y), x)))
    code = "import pickle, sys; model, x = pickle.load(open(sys.argv[1], 'rb')); print(*model.predict(x))"
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(label) for label in model.predict(x)]


def test_grid_search_in_several_processes_finds_the_better_rate() -> None:
    x, y = IRIS
    sgd = registries["optimizer"].create("sgd")
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(epochs=20, random_state=0))
    grid = {"mlpclassifier__lr": [1e-9, 0.05], "mlpclassifier__optimizer": ["adam", sgd]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(x, y)
    assert search.best_params_["mlpclassifier__lr"] == 0.05
    assert search.best_score_ > 0.85
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_cross_validation_reaches_a_score_on_every_fold() -> None:
    x, y = IRIS
    scores = cross_val_score(MLPClassifier(epochs=20, lr=0.01, random_state=0), x, y, cv=3)
    assert scores.min() > 0.85


def test_an_array_mapped_from_a_file_is_read_like_any_other(tmp_path: Path) -> None:
    x, y = IRIS
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    options = {"epochs": 2, "validation": 0.2, "random_state": 0}
    assert bits(MLPClassifier(**options).fit(mapped, y)) == bits(MLPClassifier(**options).fit(x, y))


# data frames ----------------------------------------------------------------------------------------


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = 120
    color = rng.choice(["red", "green", "blue"], rows)
    size = rng.normal(size=rows)
    return pd.DataFrame(
        {
            "color": color,
            "size": np.where(rng.random(rows) < 0.1, np.nan, size),
            "bought": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 700, rows), "D"),
            "number": np.arange(rows),
            "price": 10 * (color == "red") + size,
        }
    )


def test_a_data_frame_goes_through_the_encoder(frame: pd.DataFrame) -> None:
    x, y = frame.drop(columns="price"), frame["price"]
    model = MLPRegressor(missing="impute", epochs=60, lr=0.01, random_state=0).fit(x, y)
    assert model.feature_names_in_.tolist() == ["color", "size", "bought", "number"]
    assert model.n_features_in_ == 4
    assert model.score(x, y) > 0.9
    assert "color=red" in model.encoder_.feature_names
    assert "number" not in model.encoder_.feature_names  # left out: it counts the rows
    unknown = x.assign(color="violet")
    assert np.isfinite(model.predict(unknown)).all()
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert (model.predict(x.to_numpy()) == model.predict(x)).all()


def test_rules_for_columns_are_those_of_a_table(frame: pd.DataFrame) -> None:
    x, y = frame.drop(columns="price"), frame["price"]
    rules = {"keep": ["number"], "encoding": "codes"}
    model = MLPRegressor(columns=rules, missing="impute", epochs=1).fit(x, y)
    assert "number" in model.encoder_.feature_names
    assert "color" in model.encoder_.feature_names
    with pytest.raises(UsageError, match="columns has no entry 'keeps'; nearest: keep"):
        MLPRegressor(columns={"keeps": []}).fit(x, y)


def test_a_pipeline_may_hand_over_data_frames(frame: pd.DataFrame) -> None:
    scaler = ColumnTransformer([("size", StandardScaler(), ["size"])], remainder="passthrough")
    pipeline = make_pipeline(
        scaler, MLPRegressor(missing="impute", scaling="none", epochs=2, random_state=0)
    ).set_output(transform="pandas")
    x = frame.drop(columns="price")
    assert pipeline.fit(x, frame["price"]).predict(x).shape == (120,)
    assert pipeline[-1].feature_names_in_[0] == "size__size"


def test_columns_of_equal_names_are_refused() -> None:
    x, y = IRIS
    with pytest.raises(UsageError, match="several columns 'a'"):
        MLPClassifier().fit(pd.DataFrame(x, columns=["a", "b", "a", "c"]), y)


# mistakes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"optimizer": "adan"}, "there is no optimizer 'adan'; nearest: adam"),
        ({"activation": {"name": "elu", "alhpa": 1.0}}, "layer 'elu' has no option 'alhpa'; nearest: alpha"),
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"lr": -1.0}, "lr must be more than 0, not -1.0"),
        ({"dtype": "int"}, "dtype must be float32, float64 or None, not 'int'"),
        ({"scaling": "minmax"}, "scaling must be one of none, standard, robust, not 'minmax'"),
        ({"loss": "poisson"}, "loss=poisson is for regression, but dataset=MLPClassifier is a class"),
        ({"validation": 150}, "validation would hold out 150 of 150 rows"),
        ({"callbacks": ["early_stopping"]}, "expected a metric of this run: train/loss"),
        ({"engine": "scalar", "optimizer": "muon"}, "engine=scalar cannot run this configuration"),
    ],
)
def test_a_wrong_parameter_is_explained(parameters: dict[str, Any], message: str) -> None:
    x, y = IRIS
    with pytest.raises(UsageError) as error:
        MLPClassifier(**parameters).fit(x, y)
    assert message in str(error.value)


def test_missing_values_in_a_data_frame_name_the_column_and_the_parameter(frame: pd.DataFrame) -> None:
    with pytest.raises(UsageError, match=r"size \(\d+\)\nmissing=drop leaves out"):
        MLPRegressor().fit(frame.drop(columns="price"), frame["price"])


def test_a_fit_that_diverges_says_so() -> None:
    x, y = DIABETES
    with pytest.raises(Diverged, match="step"):
        MLPRegressor(optimizer="sgd", lr=1e9, epochs=5, random_state=0).fit(x, y)


def test_before_fit_there_is_no_prediction() -> None:
    with pytest.raises(NotFittedError):
        MLPRegressor().predict([[1.0]])
    with pytest.raises(NotFittedError):
        _ = MLPRegressor().loss_curve_
