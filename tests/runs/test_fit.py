"""``mlpframe.fit`` and ``mlpframe.load``: keywords, data frames, and what a finished run can do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from mlpframe import fit, load
from mlpframe.api import UsageError
from mlpframe.config import read_root
from mlpframe.runs.compose import compose
from mlpframe.runs.fitted import Fitted
from mlpframe.runs.keys import CHOSEN
from mlpframe.runs.overrides import from_settings
from mlpframe.training.predictor import Predictor
from tests.running import history, mlpframe, record, run_folders, run_python, sqlite_uri

QUIET: dict[str, Any] = {"tracking": "none", "callbacks": {"progress": None}}
RNG = np.random.default_rng(0)
X = RNG.standard_normal((200, 3))


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def houses(rows: int = 300) -> pd.DataFrame:
    """Prices that depend on a number and on a text; some values are missing, and the index counts from 7."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "size": rng.uniform(50, 200, rows),
            "town": rng.choice(["Ulm", "Bonn", "Kiel"], rows),
            "garden": rng.random(rows) > 0.5,
        }
    )
    frame["price"] = 3e3 * frame["size"] + 1e5 * (frame.town == "Bonn") + 5e4 * frame.garden
    frame.loc[3, "size"] = np.nan
    frame.loc[4, "town"] = None
    frame.index = frame.index + 7
    return frame


# --- settings as keywords ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "overrides"),
    [
        ({"epochs": 5, "optimizer": "adam"}, ["epochs=5", "optimizer=adam"]),
        ({"model": {"hidden": [64, 32]}}, ["model.hidden=[64,32]"]),
        ({"model": {"hidden": np.array([64])}}, ["model.hidden=[64]"]),
        (
            {"optimizer": {"beta1": 0.8, "name": "adam"}, "lr": np.float64(1e-5)},
            ["optimizer=adam", "optimizer.beta1=0.8", "lr=1e-05"],
        ),
        ({"loss": None, "final": True}, ["loss=null", "final=True"]),
        ({"experiment": "report/q5_mnist_sgd"}, ["experiment=report/q5_mnist_sgd"]),
        ({"run_name": "null"}, ["run_name='null'"]),
        ({"callbacks": {"early_stopping": {"patience": 3}}}, ["callbacks={early_stopping:{patience:3}}"]),
        ({"data_dir": Path("a b/c")}, ["data_dir='a b/c'"]),
    ],
)
def test_keywords_are_the_settings_of_the_command_line(
    settings: Mapping[str, Any], overrides: list[str]
) -> None:
    assert from_settings(settings, CHOSEN) == overrides


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a b",
            "it's",
            'say "hi"',
            "a\\",
            "\\'",
            "x,y",
            "",
            "null",
            "True",
            "1",
            "a=b",
            "[1]",
            "{a:1}",
            "ü €",
        ),
        *("${lr}", "\\${lr}", "$", "#c", "two\nlines", "choice(1,2)", "a, b", "~x", "-m"),
    ],
)
def test_every_text_arrives_unchanged(text: str) -> None:
    settings = {"run_name": text, "tags": {"note": text}, "model": {"hidden": [3]}}
    root = read_root(compose(["dataset=iris", *from_settings(settings, CHOSEN)]))
    assert root.run_name == text
    assert root.tags == {"note": text}
    assert root.model["hidden"] == [3]


def test_entries_of_dictionaries_are_added_and_the_others_stay() -> None:
    settings = {"callbacks": {"early_stopping": {"patience": 3}, "progress": None}, "tags": {"a b:c": "x"}}
    root = read_root(compose(["dataset=iris", *from_settings(settings, CHOSEN)]))
    assert sorted(root.callbacks) == ["checkpoint", "early_stopping"]
    assert root.callbacks["early_stopping"]["patience"] == 3
    assert root.tags == {"a b:c": "x"}


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ((), {"epoch": 5}, "there is no key 'epoch'; nearest: epochs"),
        ((), {"optimizer": "adm"}, "there is no optimizer 'adm'; nearest: adam"),
        ((), {"optimizer": {"name": "adam", "beta": 1}}, "no key 'optimizer.beta' with optimizer=adam"),
        ((), {"optimizer": object()}, "optimizer: expected text, numbers, None, or lists and mappings"),
        ((), {"lr": "fast"}, "lr=fast: Value 'fast' of type 'str' could not be converted to Float"),
        (("lr=1",), {"lr": 2}, "lr is given 2 times"),
        ((), {"resume": "latest"}, "fit begins a new run and cannot continue one"),
        ((), {"dataset": "iris"}, "fit trains on its arguments x and y, not on dataset=iris"),
        ((), {"dataset": {"keep": ["a"]}}, "options of dataset=arrays that name columns need a data frame"),
        ((), {"tags": {"it's": "x"}}, "cannot be written as a setting"),
        ((), {"register": "price"}, "register=price needs tracking=mlflow"),
    ],
)
def test_wrong_settings_are_refused_in_words_and_leave_nothing(
    tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        fit(X, X[:, 0], *arguments, **{**QUIET, **settings})
    assert len(str(refused.value).splitlines()) <= 3
    assert run_folders(tmp_path) == []


# --- data frames ---------------------------------------------------------------------------------


LEARN: dict[str, Any] = {**QUIET, "epochs": 60, "optimizer": "adam", "lr": 0.01, "model": {"hidden": [32]}}


def test_fit_learns_the_named_column_of_a_frame() -> None:
    frame = houses()
    run = fit(frame, "price", **LEARN)
    assert run.metrics["val/r2"] > 0.9
    prediction = run.predict(frame.drop(columns="price"))
    assert prediction.shape == (300,)
    assert np.corrcoef(prediction, frame.price)[0, 1] > 0.95
    assert abs(prediction.mean() - frame.price.mean()) < 2e4  # in the target's unit
    shuffled = frame[["town", "price", "garden", "size"]]
    np.testing.assert_array_equal(run.predict(shuffled), prediction)


def test_the_same_targets_beside_the_frame_give_the_same_run() -> None:
    frame = houses()
    inputs = frame.drop(columns="price")
    expected = fit(frame, "price", **{**LEARN, "epochs": 2}).predict(inputs)
    for y in (frame["price"], frame[["price"]], frame["price"].to_numpy(), frame["price"].tolist()):
        np.testing.assert_array_equal(fit(inputs, y, **{**LEARN, "epochs": 2}).predict(inputs), expected)


def test_rows_belong_together_by_position_whatever_their_indices_say() -> None:
    frame = houses()
    inputs, price = frame.drop(columns="price"), frame["price"]
    expected = fit(inputs, price, **{**LEARN, "epochs": 2}).predict(inputs)
    moved = price.set_axis(price.index[::-1])
    np.testing.assert_array_equal(fit(inputs, moved, **{**LEARN, "epochs": 2}).predict(inputs), expected)


def test_several_targets_are_predicted_together() -> None:
    frame = houses().assign(rent=lambda table: table.price / 250)
    run = fit(frame, ["price", "rent"], **LEARN)
    prediction = run.predict(frame)
    assert prediction.shape == (300, 2)
    for column, name in enumerate(("price", "rent")):
        assert np.corrcoef(prediction[:, column], frame[name])[0, 1] > 0.9


def test_test_rows_and_weights_of_a_frame_may_be_columns_or_arrays() -> None:
    frame = houses().dropna()
    train, held = frame[:200].copy(), frame[200:]
    train.loc[train.index[:100], "price"] = 9e9  # rows of weight 0
    weights = np.repeat([0.0, 1.0], 100)
    settings = {**LEARN, "epochs": 3, "final": True}
    by_array = fit(train, "price", weights=weights, test=held, **settings)
    by_column = fit(train.assign(w=weights), "price", weights="w", test=held.assign(w=1.0), **settings)
    apart = fit(
        train.drop(columns="price"),
        train.price,
        weights=weights,
        test=(held.drop(columns="price"), held.price),
        **settings,
    )
    expected = by_array.metrics["test/loss"]
    assert by_column.metrics["test/loss"] == expected
    assert apart.metrics["test/loss"] == expected
    assert len(held) == len(by_array.predict(held))


@pytest.mark.parametrize(
    ("x", "y", "settings", "message"),
    [
        (houses(), "prise", {}, "the data frame has no column 'prise'; nearest: price"),
        (houses(), houses().price, {}, r"'price' is also a column of x: .* fit\(x, 'price'\)"),
        (houses(), houses().price.to_numpy()[:5], {}, r"x has 300 rows and y has the shape \(5,\)"),
        (houses(), np.zeros((2, 2, 2)), {}, r"targets must have the shape \(rows,\) or \(rows, outputs\)"),
        (X, "price", {}, "'price' names a column, and x is not a data frame"),
        (houses(), "price", {"weights": np.ones(3)}, "expected one weight for each of 300 rows"),
        (houses(), "price", {"test": 5}, "test must be a pair of inputs and targets"),
        (houses(), "price", {"dataset": {"missing": "error"}}, "missing values, counted by column"),
    ],
)
def test_frames_that_do_not_fit_are_refused(
    tmp_path: Path, x: Any, y: Any, settings: dict[str, Any], message: str
) -> None:
    if message.startswith("test must"):
        x, y = x.drop(columns="price"), x.price
    with pytest.raises(UsageError, match=message):
        fit(x, y, **QUIET, **settings)
    assert run_folders(tmp_path) == []


# --- what a finished run can do ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "kind"),
    [(np.array(["no", "yes"]), "U"), (np.array([3, 8]), "i"), (np.array([False, True]), "b")],
)
@pytest.mark.parametrize("framed", [False, True])
def test_predict_gives_labels_as_they_were_given(labels: Any, kind: str, framed: bool) -> None:
    y = labels[(X[:, 0] > 0).astype(int)]
    x: Any = pd.DataFrame(X, columns=["a", "b", "c"]) if framed else X
    run = fit(x, y, **LEARN)
    prediction = run.predict(x)
    assert prediction.dtype.kind == kind
    assert np.mean(prediction == y) > 0.95
    assert run.classes.tolist() == sorted(labels.tolist())
    probabilities = run.predict_proba(x)
    np.testing.assert_array_equal(run.classes[probabilities.argmax(1)], prediction)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert run.evaluate(x, y)["accuracy"] == np.mean(prediction == y)


def test_a_row_may_have_several_classes() -> None:
    y = (X > 0).astype(int)
    run = fit(X, pd.DataFrame(y, columns=["red", "round", "ripe"]), **LEARN)
    assert run.classes.tolist() == ["red", "round", "ripe"]
    np.testing.assert_array_equal(run.predict(X), run.predict_proba(X) > 0.5)
    assert run.evaluate(X, y)["subset_accuracy"] == np.mean((run.predict(X) == y).all(1))


def test_evaluate_computes_the_metrics_in_the_targets_unit() -> None:
    frame = houses().dropna()
    run = fit(frame, "price", **LEARN)
    found = run.evaluate(frame)
    errors = run.predict(frame) - frame.price.to_numpy()
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert found["r2"] == pytest.approx(1 - np.mean(errors**2) / frame.price.var(ddof=0))
    scale = float(run.predictor.encoder.target.scale[0])  # type: ignore[index]
    assert found["loss"] == pytest.approx(np.mean((errors / scale) ** 2), rel=1e-4)
    assert run.evaluate(frame, "price") == found
    assert run.evaluate(frame.drop(columns="price"), frame.price) == found


def test_evaluate_on_the_validation_rows_is_the_metric_of_the_run() -> None:
    y = X[:, 0] + 0.1
    run = fit(X, y, **{**LEARN, "dataset": {"split": "last", "validation": 50}})
    found = run.evaluate(X[150:], y[150:])
    for name in ("loss", "r2", "rmse"):
        assert found[name] == pytest.approx(run.metrics[f"val/{name}"], rel=1e-5)


def test_what_evaluate_and_predict_cannot_use_is_refused_in_words() -> None:
    frame = houses().dropna()
    run = fit(frame, "price", **{**LEARN, "epochs": 1})
    labels = fit(X, np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)], **{**LEARN, "epochs": 1})
    for call, message in (
        (lambda: run.predict(frame.drop(columns="town")), "no column 'town'"),
        (lambda: run.evaluate(frame.drop(columns="price")), "no column 'price', which holds the target"),
        (lambda: run.evaluate(frame, ["no"] * len(frame)), "no column 'no'"),
        (lambda: run.evaluate(frame, np.full(len(frame), np.nan)), "missing or infinite values"),
        (lambda: run.predict_proba(frame), "a regression predicts values and no probabilities"),
        (lambda: labels.predict(X[:, :2]), r"expects inputs of shape \(rows, 3\), not \(200, 2\)"),
        (lambda: labels.evaluate(X), "the targets are missing"),
        (lambda: labels.evaluate(X, ["yess"] * 200), "'yess' is not a class of the model; nearest: yes"),
        (lambda: labels.evaluate(X, ["yes"]), "expected one target for each row, not 1 for 200 rows"),
        (lambda: labels.save("model.txt"), "a model file has the ending .npz"),
    ):
        with pytest.raises(UsageError, match=message):
            call()


def test_history_and_metrics_are_those_of_the_files_and_can_be_sliced() -> None:
    run = fit(X, X[:, 0], **{**LEARN, "epochs": 4, "batch_size": 40})
    assert run.folder is not None
    losses = [value for _, name, value in history(run.folder) if name == "val/loss"]
    assert run.history["val/loss"].tolist() == losses
    assert run.history["val/loss"][-2:].tolist() == losses[-2:]
    assert run.metrics == record(run.folder)["metrics"]
    assert [step for step, name, _ in run.history.rows() if name == "val/loss"] == [4, 8, 12, 16]
    part = run.history[5:16]
    assert part.series("val/loss") == ([8, 12], losses[1:3])
    assert set(part) == set(run.history)
    with pytest.raises(UsageError, match="the history has no metric 'val/los'; nearest: val/loss"):
        run.history["val/los"]


@pytest.mark.parametrize(
    ("y", "titles"),
    [(X[:, 0], ["Loss", "R2"]), ((X[:, 0] > 0).astype(int), ["Loss", "Accuracy"])],
)
def test_plot_draws_the_curves_of_the_history(y: Any, titles: list[str]) -> None:
    run = fit(X, y, **{**LEARN, "epochs": 3})
    figure = run.plot()
    assert [axes.get_title() for axes in figure.axes] == titles
    drawn = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert list(drawn["validation"]) == run.history["val/loss"].tolist()


# --- load ----------------------------------------------------------------------------------------


def test_a_run_is_loaded_by_its_folder_as_latest_and_from_a_saved_file(tmp_path: Path) -> None:
    frame = houses()
    run = fit(frame, "price", **{**LEARN, "epochs": 2})
    assert run.folder is not None
    run.save(tmp_path / "kept" / "price.npz")
    for name in (run.folder, str(run.folder), run.folder.name, "latest", run.folder / "model" / "model.npz"):
        loaded = load(name)
        assert isinstance(loaded, Fitted)
        assert loaded.folder == run.folder
        assert loaded.metrics == run.metrics
        assert loaded.history["val/loss"].tolist() == run.history["val/loss"].tolist()
        np.testing.assert_array_equal(loaded.predict(frame), run.predict(frame))
    alone = load("kept/price.npz")
    np.testing.assert_array_equal(alone.predict(frame), run.predict(frame))
    assert (alone.folder, alone.metrics, len(alone.history)) == (None, {}, 0)
    assert alone.evaluate(frame.dropna()) == run.evaluate(frame.dropna())
    with pytest.raises(UsageError, match="the history of the run is not beside its model"):
        alone.plot()


def test_load_refuses_what_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"no zip")
    for name, message in (
        ("nothing", "nothing: no run of that id or folder"),
        ("latest", "latest: no such run"),
        ("broken.npz", "broken.npz cannot be read"),
        ("models:/x", "expected models:/<name>/<version> or models:/<name>@<alias>"),
    ):
        with pytest.raises(UsageError, match=message):
            load(name)
    run = fit(X, X[:, 0], **{**LEARN, "epochs": 1})
    assert run.folder is not None
    (tmp_path / "last.npz").write_bytes((run.folder / "checkpoints" / "last.npz").read_bytes())
    with pytest.raises(UsageError, match=r"last\.npz is a checkpoint and no model"):
        load("last.npz")


# --- start_from and register ---------------------------------------------------------------------


def test_a_run_starts_from_the_weights_of_another_run(tmp_path: Path) -> None:
    y = X[:, 0] ** 2
    settings = {**QUIET, "model": {"hidden": [8]}, "optimizer": "sgd"}
    first = fit(X, y, **settings, epochs=3)
    assert first.folder is not None
    first.save("first.npz")
    for name in (first.folder.name, "first.npz", "latest"):
        second = fit(X, y, **settings, epochs=1, lr=1e-30, seed=5, start_from=name)
        for key, weights in first.predictor.arrays().items():
            np.testing.assert_array_equal(second.predictor.arrays()[key], weights)
        fresh = fit(X, y, **settings, epochs=1, lr=1e-30, seed=5)
        assert not np.array_equal(fresh.predict(X), second.predict(X))
        first.folder.touch()
        for run in run_folders(tmp_path):  # hides the other runs, so that the first run is the latest
            if run != first.folder:
                (run / "run.json").unlink()


def test_the_first_difference_of_the_models_is_named() -> None:
    settings = {**QUIET, "epochs": 1}
    fit(X, X[:, 0], **settings, model={"hidden": [8]}, run_name="small")
    for hidden, message in (
        (
            [9],
            r"start_from=latest: the parameter 0\.linear\.W has the shape \(3, 9\) in this run's model and ",
        ),
        (
            [8, 1],
            r"start_from=latest: this run's model has the parameter 4\.linear\.W, and that model has not",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            fit(X, X[:, 0], **settings, model={"hidden": hidden}, start_from="latest")
    with pytest.raises(UsageError, match="start_from=nothing: no run of that id or folder"):
        fit(X, X[:, 0], **settings, start_from="nothing")


def test_every_job_of_a_sweep_starts_from_the_run_that_was_the_latest(tmp_path: Path) -> None:
    settings = ["dataset=iris", "tracking=none", "callbacks.progress=null", "model.hidden=[4]", "epochs=1"]
    assert mlpframe(tmp_path, *settings, "epochs=3").returncode == 0
    (first,) = run_folders(tmp_path)
    ended = mlpframe(tmp_path, "-m", *settings, "start_from=latest", "lr=1e-30", "seed=1,2")
    assert ended.returncode == 0, ended.stderr
    weights = Predictor(first / "model" / "model.npz").arrays()
    models = sorted(tmp_path.glob("outputs/sweeps/*/*/*/model/model.npz"))
    assert len(models) == 2
    for model in models:
        for key, array in Predictor(model).arrays().items():
            np.testing.assert_array_equal(array, weights[key])
    refused = mlpframe(tmp_path, "resume=latest", "start_from=latest")
    assert refused.returncode == 2
    assert refused.stderr == "resume=latest continues with the run's own weights: leave out start_from\n"


ASK = """
import json, mlflow, mlpframe
from mlflow import MlflowClient
client = MlflowClient("{uri}")
version = client.get_model_version("flower", "1")
run = client.get_run(version.run_id)
files = [file.path for file in client.list_artifacts(version.run_id)]
loaded = mlpframe.load("models:/flower/1")
print(json.dumps([version.run_id, run.data.params, run.data.tags, files, loaded.classes.tolist()]))
"""


def test_a_model_is_registered_at_the_end_and_the_next_run_starts_from_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.standard_normal(60), "kind": ["x", "y"] * 30})
    frame.to_csv(tmp_path / "t.csv", index=False)
    settings = ["dataset=csv", "dataset.file=t.csv", "model.hidden=[4]", "epochs=1"]
    ended = mlpframe(tmp_path, *settings, "register=flower")
    assert ended.returncode == 0, ended.stderr
    assert "registered as models:/flower/1" in ended.stdout
    again = mlpframe(tmp_path, *settings, "start_from=models:/flower/1", "tags.note=second")
    assert again.returncode == 0, again.stderr
    first, second = run_folders(tmp_path)
    answer = run_python(tmp_path, "-c", ASK.format(uri=sqlite_uri(tmp_path)))
    assert answer.returncode == 0, answer.stderr
    run_id, params, tags, files, classes = json.loads(answer.stdout.splitlines()[-1])
    assert run_id == json.loads((first / "mlflow.json").read_text())["run_id"]
    assert "register" not in params
    assert "mlpframe.started_from" not in tags
    assert "data" in files
    assert classes == ["x", "y"]
    ask = f"from mlflow import MlflowClient as C; print(C('{sqlite_uri(tmp_path)}').get_run('%s').data.tags)"
    own_id = json.loads((second / "mlflow.json").read_text())["run_id"]
    told = run_python(tmp_path, "-c", ask % own_id).stdout
    assert "'mlpframe.started_from': 'models:/flower/1'" in told


def test_a_name_that_cannot_be_registered_is_refused(tmp_path: Path) -> None:
    for name, tracking, message in (
        ("a/b", "mlflow", "register=a/b: expected a name without / : and @"),
        ("price", "none", "register=price needs tracking=mlflow"),
    ):
        with pytest.raises(UsageError, match=message):
            read_root(compose(["dataset=iris", f"register={name}", f"tracking={tracking}"]))
    assert run_folders(tmp_path) == []


def test_the_configuration_of_a_run_from_python_can_be_read_again() -> None:
    run = fit(X, X[:, 0], **{**QUIET, "epochs": 1, "tags": {"a b": "it's"}})
    assert run.folder is not None
    config = OmegaConf.load(run.folder / "config" / "config.yaml")
    assert config.tags == {"a b": "it's"}
    words = OmegaConf.to_container(OmegaConf.load(run.folder / "config" / "overrides.yaml"))
    assert isinstance(words, list)
    assert read_root(compose([str(word) for word in words])).tags == {"a b": "it's"}
