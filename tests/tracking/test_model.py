"""The model in MLflow: it takes the table it was trained on, and is linked to its metrics and data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlpframe import __version__
from mlpframe.training import Predictor
from tests.running import (
    answers,
    end_group,
    environment,
    free_port,
    history,
    mlpframe,
    recorded,
    run_python,
    sqlite_uri,
    the_run,
    wait_until,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")  # in MLflow

INPUTS = ["age", "job", "price", "rooms", "smoker", "since"]
ROWS = 200


def table() -> pd.DataFrame:
    """Numbers, whole numbers, text, true and false, dates, an identifier, and missing values."""
    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, ROWS).astype(float)
    age[::17] = np.nan
    job = rng.choice(["cook", "driver", "clerk"], ROWS).astype(object)
    job[::23] = None
    price = rng.normal(100, 20, ROWS).round(2)
    days = pd.to_timedelta(rng.integers(0, 900, ROWS), unit="D")
    return pd.DataFrame(
        {
            "id": np.arange(1, ROWS + 1),
            "age": age,
            "job": job,
            "price": price,
            "rooms": rng.integers(1, 6, ROWS),
            "smoker": rng.random(ROWS) < 0.3,
            "since": (pd.Timestamp("2024-01-01") + days).strftime("%Y-%m-%d"),
            "bought": np.where(price > 100, "yes", "no"),
        }
    )


@dataclass
class Trained:
    """A run of the command line, and the folder of its model in MLflow."""

    folder: Path
    run: Path
    client: Any
    run_id: str
    model: Any

    @property
    def path(self) -> Path:
        return Path(self.model.artifact_location.removeprefix("file://"))

    def load(self) -> Any:
        import mlflow.pyfunc

        return mlflow.pyfunc.load_model(str(self.path))

    def expected(self, frame: pd.DataFrame) -> pd.DataFrame:
        """What the model file predicts, without MLflow."""
        return Predictor(self.run / "model" / "model.npz").predict_frame(frame)


def train(folder: Path, *overrides: str) -> Trained:
    from mlflow import MlflowClient

    done = mlpframe(folder, "optimizer=adam", "epochs=2", *overrides)
    assert done.returncode == 0, done.stderr
    run, client = the_run(folder), MlflowClient(tracking_uri=sqlite_uri(folder))
    run_id = json.loads((run / "mlflow.json").read_text())["run_id"]
    (model,) = client.search_logged_models([client.get_run(run_id).info.experiment_id])
    return Trained(folder, run, client, run_id, model)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A classification of ``table()`` from a CSV file."""
    folder = tmp_path_factory.mktemp("trained")
    table().to_csv(folder / "table.csv", index=False)
    return train(folder, "dataset=csv", "dataset.file=table.csv")


@pytest.fixture(scope="module")
def model(trained: Trained) -> Any:
    return trained.load()


# --- signature, example and requirements of the model ------------------------------------------------


def test_the_signature_names_the_columns_of_the_table(model: Any) -> None:
    assert model.metadata.signature.inputs.input_names() == INPUTS  # the identifier is not needed
    outputs = {column.name: column.type.name for column in model.metadata.signature.outputs}
    assert outputs == {"bought": "string", "p(no)": "double", "p(yes)": "double"}
    assert model.metadata.metadata["columns"] == {
        "age": "number",
        "job": "category",
        "price": "number",
        "rooms": "number",
        "smoker": "number",
        "since": "date",
    }


def test_the_example_is_rows_of_the_table_that_the_model_takes(model: Any) -> None:
    example = model.input_example
    rows = table()[INPUTS].to_dict("records")
    assert len(example) == 5
    assert all(row in rows for row in example.dropna().to_dict("records"))
    assert list(model.predict(example).columns) == ["bought", "p(no)", "p(yes)"]


def test_the_requirements_are_pinned_and_few(trained: Trained) -> None:
    import mlflow

    assert (trained.path / "requirements.txt").read_text().split() == [
        f"mlflow=={mlflow.__version__}",
        f"mlpframe=={__version__}",
        f"numpy=={np.__version__}",
        f"pandas=={pd.__version__}",
    ]


def test_loading_the_model_raises_no_warning(trained: Trained) -> None:
    code = """if True:
        import sys, warnings
        import mlflow.pyfunc  # MLflow's own import may warn
        warnings.simplefilter("error")
        mlflow.pyfunc.load_model(sys.argv[1])
    """
    done = run_python(trained.folder, "-c", code, str(trained.path))
    assert done.returncode == 0, done.stderr


# --- what the model takes ----------------------------------------------------------------------------


def test_the_model_takes_the_table_and_predicts_as_the_model_file_does(trained: Trained, model: Any) -> None:
    frame = pd.read_csv(trained.folder / "table.csv", index_col=None).set_index(np.arange(ROWS) + 1000)
    predicted = model.predict(frame)
    pd.testing.assert_frame_equal(predicted, trained.expected(frame))
    assert predicted.index.tolist() == frame.index.tolist()
    assert set(predicted["bought"]) <= {"yes", "no"}
    np.testing.assert_allclose(predicted["p(no)"] + predicted["p(yes)"], 1, rtol=1e-5)
    assert ((predicted["p(yes)"] > 0.5) == (predicted["bought"] == "yes")).all()


def test_columns_may_stand_in_any_order_beside_others(model: Any) -> None:
    frame = table()
    shuffled = frame[[*reversed(INPUTS), "id"]].assign(note="x")
    pd.testing.assert_frame_equal(model.predict(shuffled), model.predict(frame))


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "float32", "Int64"])
def test_whole_numbers_of_every_type_are_accepted_as_numbers(model: Any, dtype: str) -> None:
    frame = table().fillna({"age": 40})
    frame["price"] = frame["price"].round()
    numbers = ["age", "rooms", "price"]
    same = frame.astype(dict.fromkeys(numbers, dtype))
    pd.testing.assert_frame_equal(model.predict(same), model.predict(frame))


@pytest.mark.parametrize("column", INPUTS)
def test_any_value_of_a_single_row_may_be_missing(trained: Trained, model: Any, column: str) -> None:
    row = table().iloc[[1]].astype(object)
    row[column] = None
    pd.testing.assert_frame_equal(model.predict(row), trained.expected(row))
    read = row.assign(**{column: np.nan})  # pandas reads an empty cell of a file as NaN
    pd.testing.assert_frame_equal(model.predict(read), model.predict(row))


def test_a_category_that_training_has_not_seen_is_accepted(trained: Trained, model: Any) -> None:
    frame = table().assign(job="pilot")
    pd.testing.assert_frame_equal(model.predict(frame), trained.expected(frame))


def test_a_column_that_is_not_there_is_named(model: Any) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=r"missing inputs \['smoker'\]"):
        model.predict(table().drop(columns="smoker"))


def test_text_among_numbers_is_refused_in_words(model: Any) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="the column age must be numbers, and has 'old'"):
        model.predict(table().assign(age="old"))


# --- MLflow's commands -------------------------------------------------------------------------------


def mlflow_environment() -> dict[str, str]:
    """The environment for MLflow's commands, which start `python` and other programs from the PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return environment(PATH=path, MLFLOW_DISABLE_TELEMETRY="true")


def test_mlflow_predicts_the_csv_file_of_the_training(trained: Trained) -> None:
    command = [sys.executable, "-m", "mlflow", "models", "predict", "-m", str(trained.path), "-t", "csv"]
    command += ["-i", "table.csv", "-o", "predicted.json", "--env-manager", "local"]
    done = subprocess.run(
        command, cwd=trained.folder, env=mlflow_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((trained.folder / "predicted.json").read_text())["predictions"]
    expected = trained.expected(pd.read_csv(trained.folder / "table.csv"))
    pd.testing.assert_frame_equal(pd.DataFrame(rows), expected, check_dtype=False, rtol=1e-5)


@pytest.fixture(scope="module")
def server(trained: Trained) -> Iterator[str]:
    """The address at which ``mlflow models serve`` answers."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(trained.path)]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (trained.folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=trained.folder,
            env=mlflow_environment(),
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: process.poll() is not None or answers(f"{address}/health"), "the server answers")
        assert process.poll() is None, (trained.folder / "log").read_text()[-2000:]
        yield f"{address}/invocations"
    finally:
        end_group(process)


def ask(url: str, columns: list[str], rows: list[list[Any]]) -> tuple[int, Any]:
    """The status and the answer to a request for predictions."""
    body = json.dumps({"dataframe_split": {"columns": columns, "data": rows}}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_server_takes_text_and_missing_values(trained: Trained, server: str) -> None:
    columns = ["since", "job", "age", "note", "rooms", "smoker", "price"]
    rows: list[list[Any]] = [
        ["2024-05-04", "cook", 40, "", 2, True, 100],
        ["2025-05-04", None, None, "", 3, None, 88.5],
        [None, "pilot", 51.5, "", None, False, None],
    ]
    status, answer = ask(server, columns, rows)
    assert status == 200
    expected = trained.expected(pd.DataFrame(rows, columns=columns, dtype=object))
    pd.testing.assert_frame_equal(pd.DataFrame(answer["predictions"]), expected, check_dtype=False, rtol=1e-5)


def test_a_server_says_what_is_wrong(server: str) -> None:
    row = ["cook", 40, 2, True, 100]
    status, answer = ask(server, ["job", "age", "rooms", "smoker", "price"], [row])
    assert status == 400
    assert "missing inputs ['since']" in answer["message"]
    status, answer = ask(server, ["job", "age", "rooms", "smoker", "price", "since"], [[*row, "soon"]])
    assert status == 400
    assert "the column since must be dates (ISO8601)" in answer["message"]


# --- metrics and data --------------------------------------------------------------------------------


def test_the_model_has_the_last_metrics_of_the_run_on_the_data_that_they_were_computed_on(
    trained: Trained,
) -> None:
    run = trained.client.get_run(trained.run_id)
    digests = {
        tag.value: item.dataset.digest
        for item in run.inputs.dataset_inputs
        for tag in item.tags
        if tag.key == "mlflow.data.context"
    }
    linked = {metric.key: (metric.value, metric.dataset_digest) for metric in trained.model.metrics}
    parts = {"train/loss": "train", "train/accuracy": "train"}
    parts |= {"val/loss": "validation", "val/accuracy": "validation"}
    assert linked == {name: (run.data.metrics[name], digests[part]) for name, part in parts.items()}
    assert {metric.dataset_name for metric in trained.model.metrics} == {"csv"}


def test_the_model_is_the_output_of_the_run_after_its_last_update(trained: Trained) -> None:
    run = trained.client.get_run(trained.run_id)
    steps = [step for step, name, _ in history(trained.run) if name == "train/loss"]
    assert [(out.model_id, out.step) for out in run.outputs.model_outputs] == [
        (trained.model.model_id, max(steps))
    ]
    assert trained.model.status == "READY"
    assert trained.model.params == run.data.params


def test_linking_metrics_records_none_twice(trained: Trained) -> None:
    assert recorded(trained.client, trained.run_id) == history(trained.run)


# --- other tasks -------------------------------------------------------------------------------------


def test_a_regression_answers_in_the_units_of_its_targets(tmp_path: Path) -> None:
    frame = table().drop(columns="bought")
    frame["since"] = pd.to_datetime(frame["since"])
    frame["tax"] = 1e6 + 1e5 * frame["rooms"]
    frame.to_parquet(tmp_path / "table.parquet")
    trained = train(
        tmp_path, "dataset=parquet", "dataset.file=table.parquet", "dataset.target=[tax,price]", "final=true"
    )
    model = trained.load()
    outputs = {column.name: column.type.name for column in model.metadata.signature.outputs}
    assert outputs == {"tax": "double", "price": "double"}
    predicted = model.predict(frame)
    pd.testing.assert_frame_equal(predicted, trained.expected(frame))
    assert predicted["tax"].between(0.5e6, 2e6).all()
    pd.testing.assert_frame_equal(model.predict(model.input_example), trained.expected(model.input_example))
    text = frame.assign(since=frame["since"].dt.strftime("%Y-%m-%d"))
    pd.testing.assert_frame_equal(model.predict(text), predicted)
    assert {metric.key for metric in trained.model.metrics} >= {"train/loss", "test/loss", "test/rmse"}


def test_a_model_of_an_array_takes_and_returns_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3)).astype(np.float32)
    x[::7, 1] = np.nan
    np.savez(tmp_path / "arrays.npz", x=x, y=rng.integers(0, 2, 90))
    trained = train(tmp_path, "dataset=npz", "dataset.file=arrays.npz", "dataset.missing=indicate")
    model = trained.load()
    assert len(model.metadata.signature.inputs) == 3
    predicted = model.predict(x)
    assert predicted.shape == (90, 2)
    np.testing.assert_allclose(predicted.sum(1), 1, rtol=1e-5)
    assert model.input_example.shape == (5, 3)
    assert all(any(np.array_equal(row, other, equal_nan=True) for other in x) for row in model.input_example)
