"""The records of a run in MLflow, and the store."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mlpframe import __version__, registries
from mlpframe.training import checkpoint
from mlpframe.training.predictor import Predictor
from tests.running import (
    answers,
    descendants,
    end_group,
    environment,
    free_port,
    history,
    listening,
    mlpframe,
    record,
    recorded,
    run_python,
    running,
    sqlite_uri,
    start,
    the_run,
    wait_until,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")  # in MLflow

OVERRIDES = [
    "dataset=iris",
    "seed=3",
    "epochs=3",
    "log_every=2",
    "run_name=three flowers",
    "+tags.purpose=test",
]
TRAIN, VALIDATION, STEPS = 90, 30, 3
"""Iris has 150 rows. Test and validation get 30 rows each, and the 90 training rows make three batches."""


@dataclass
class Recorded:
    """A run that the command line made in a git checkout, and an MLflow client for the run's store."""

    folder: Path
    run: Path
    client: Any
    run_id: str
    commit: str

    @property
    def mlflow(self) -> Any:
        return self.client.get_run(self.run_id)

    def files(self, part: str = "") -> set[str]:
        paths = set()
        for item in self.client.list_artifacts(self.run_id, part or None):
            paths |= self.files(item.path) if item.is_dir else {item.path}
        return paths

    def download(self, part: str, to: Path) -> Path:
        return Path(self.client.download_artifacts(self.run_id, part, str(to)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("finished")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "empty"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout

    ended = mlpframe(folder, *OVERRIDES)
    assert ended.returncode == 0, ended.stderr
    run = the_run(folder)
    about = json.loads((run / "mlflow.json").read_text())
    assert about["uri"] == sqlite_uri(folder)
    assert f"MLflow run {about['run_id']}" in ended.stdout
    return Recorded(folder, run, MlflowClient(tracking_uri=about["uri"]), about["run_id"], commit.strip())


# --- the records -------------------------------------------------------------------------------------


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            out |= flatten(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out


def test_the_recorded_run_is_finished_and_has_its_name(finished: Recorded) -> None:
    info = finished.mlflow.info
    assert info.status == "FINISHED"
    assert info.run_name == "three flowers"
    assert info.start_time < info.end_time
    assert finished.client.get_experiment(info.experiment_id).name == "mlpframe"
    assert len(finished.client.search_runs([info.experiment_id])) == 1


def test_parameters_are_the_flattened_configuration(finished: Recorded, tmp_path: Path) -> None:
    file = finished.download("config/config.yaml", tmp_path)
    configuration = yaml.safe_load(file.read_text())
    for how_it_is_recorded in ("tracking", "tags", "resume", "run_name", "register"):
        del configuration[how_it_is_recorded]
    params = finished.mlflow.data.params
    assert params == {key: str(value) for key, value in flatten(configuration).items()}
    expected = {
        "seed": "3",
        "epochs": "3",
        "batch_size": "32",
        "dtype": "float32",
        "dataset.name": "iris",
        "dataset.scaling": "standard",
        "model.name": "mlp",
        "model.hidden": "[100]",
        "loss.name": "cross_entropy",
        "optimizer.name": "sgd",
        "optimizer.weight_decay": "0.0",
        "schedule.name": "constant",
        "callbacks.checkpoint.monitor": "val/loss",
    }
    assert {key: params[key] for key in expected} == expected


def test_metrics_are_recorded_against_the_number_of_updates(finished: Recorded) -> None:
    steps: dict[str, list[int]] = {}
    for step, name, _ in recorded(finished.client, finished.run_id):
        steps.setdefault(name, []).append(step)
    epochs = [STEPS, 2 * STEPS, 3 * STEPS]
    assert steps == {
        "train/loss": epochs,
        "train/accuracy": epochs,
        "val/loss": epochs,
        "val/accuracy": epochs,
        "train/loss_window": [2, 4, 6, 8],
        "lr": [2, 4, 6, 8],
        "time/epoch_seconds": epochs,
        "time/samples_per_second": epochs,
    }


def test_metrics_equal_the_history_to_the_bit(finished: Recorded) -> None:
    assert recorded(finished.client, finished.run_id) == history(finished.run)
    assert finished.mlflow.data.metrics == record(finished.run)["metrics"]


def test_tags_name_the_versions_and_the_command_of_the_run(finished: Recorded) -> None:
    tags = finished.mlflow.data.tags
    expected = {
        "mlpframe.status": "finished",
        "mlpframe.version": __version__,
        "mlpframe.git": finished.commit,
        "mlpframe.overrides": " ".join(OVERRIDES),
        "mlpframe.numpy": np.__version__,
        "mlpframe.threads": str(max(1, len(os.sched_getaffinity(0)) - 1)),
        "purpose": "test",
    }
    assert {name: tags.get(name) for name in expected} == expected
    assert tags["mlpframe.engine"]
    assert "mlpframe.resumed_from" not in tags


def test_the_data_sets_are_inputs_of_the_run_with_their_contexts(finished: Recorded) -> None:
    inputs = {
        tag.value: item.dataset
        for item in finished.mlflow.inputs.dataset_inputs
        for tag in item.tags
        if tag.key == "mlflow.data.context"
    }
    assert inputs.keys() == {"train", "validation"}
    assert {data.name for data in inputs.values()} == {"iris"}
    profiles = {context: json.loads(data.profile) for context, data in inputs.items()}
    assert {context: profile["rows"] for context, profile in profiles.items()} == {
        "train": TRAIN,
        "validation": VALIDATION,
    }
    assert {(profile["features"], profile["outputs"]) for profile in profiles.values()} == {(4, 3)}
    assert inputs["train"].digest != inputs["validation"].digest


def test_the_run_has_the_expected_artifacts(finished: Recorded) -> None:
    assert finished.files() == {
        "config/config.yaml",
        "config/overrides.yaml",
        "figures/loss.png",
        "figures/accuracy.png",
        "figures/learning_rate.png",
        "figures/confusion_matrix.png",
        "history/history.csv",
        "checkpoints/last.npz",
        "checkpoints/best.npz",
    }
    location = finished.client.get_experiment(finished.mlflow.info.experiment_id).artifact_location
    assert location == (finished.folder / "outputs" / "mlartifacts").as_uri()


def test_artifacts_equal_the_files_in_the_folder_of_the_run(finished: Recorded, tmp_path: Path) -> None:
    for part in ("config", "history", "checkpoints"):
        folder = finished.download(part, tmp_path)
        for file in folder.iterdir():
            assert file.read_bytes() == (finished.run / part / file.name).read_bytes()
    assert yaml.safe_load((tmp_path / "config" / "overrides.yaml").read_text()) == OVERRIDES
    assert checkpoint.load(tmp_path / "checkpoints" / "last.npz")[1]["progress"]["step"] == 3 * STEPS


def test_figures_are_png_files_with_something_drawn(finished: Recorded, tmp_path: Path) -> None:
    from matplotlib.image import imread

    for file in finished.download("figures", tmp_path).iterdir():
        assert file.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        height, width = imread(file).shape[:2]
        assert 300 < height < 2000
        assert 300 < width < 2000
        assert imread(file)[..., :3].std() > 0.02  # the picture is not empty


# --- the model ---------------------------------------------------------------------------------------

LOAD = """
import json, sys
import mlflow, numpy as np
from sklearn.datasets import load_iris
model = mlflow.pyfunc.load_model(sys.argv[1])
answers = {}
for dtype in ("float32", "float64"):
    try:
        answers[dtype] = model.predict(load_iris().data.astype(dtype)).tolist()
    except mlflow.MlflowException as error:
        answers[dtype] = str(error)
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def loaded(finished: Recorded, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The predictions of the recorded model, made by a process that knows only the model's name in MLflow."""
    folder, uri = tmp_path_factory.mktemp("loaded"), f"runs:/{finished.run_id}/model"
    ended = run_python(folder, "-c", LOAD, uri, MLFLOW_TRACKING_URI=sqlite_uri(finished.folder))
    assert ended.returncode == 0, ended.stderr
    answers: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return answers


@pytest.fixture(scope="module")
def predictor(finished: Recorded) -> Predictor:
    assert "linear" in registries["layer"]  # this loads the plugins
    return Predictor(finished.run / "model" / "model.npz")


def test_the_model_and_the_predictor_predict_the_same_from_raw_inputs(
    finished: Recorded, loaded: dict[str, Any], predictor: Predictor
) -> None:
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    predicted = predictor.predict(x.astype(np.float32))
    assert predicted.shape == (150, 3)
    np.testing.assert_allclose(loaded["float32"], predicted, rtol=1e-6)
    np.testing.assert_allclose(predicted.sum(1), 1, rtol=1e-5)
    # 30 of the 150 rows are validation rows; without standardization a third would be correct
    right = float((predicted.argmax(1) == y).mean())
    assert right == pytest.approx(finished.mlflow.data.metrics["val/accuracy"], abs=0.15)
    assert right > 0.8


def test_the_model_accepts_the_float64_inputs_of_scikit_learn(
    loaded: dict[str, Any], predictor: Predictor
) -> None:
    from sklearn.datasets import load_iris

    assert isinstance(loaded["float64"], list), loaded["float64"]
    np.testing.assert_allclose(loaded["float64"], predictor.predict(load_iris().data), rtol=1e-5)


def test_the_predictor_computes_softmax_of_the_layers_of_standardized_inputs(
    finished: Recorded, predictor: Predictor
) -> None:
    from sklearn.datasets import load_iris

    x = load_iris().data
    arrays, _ = checkpoint.load(finished.run / "model" / "model.npz")
    W1, b1, W2, b2 = np.split(arrays["w"].astype(float), [400, 500, 800])
    hidden = np.maximum(
        (x - arrays["encoder/input/shift"]) / arrays["encoder/input/scale"] @ W1.reshape(4, 100) + b1, 0
    )
    logits = hidden @ W2.reshape(100, 3) + b2
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(predictor.predict(x), expected, rtol=1e-4, atol=1e-6)
    # The encoder's shift and scale come from the 90 training rows, and x also holds the other 60 rows.
    np.testing.assert_allclose(arrays["encoder/input/shift"], x.mean(0), rtol=0.1)
    np.testing.assert_allclose(arrays["encoder/input/scale"], x.std(0), rtol=0.2)


def test_a_script_uses_a_model_with_one_import(finished: Recorded) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from mlpframe.training.predictor import Predictor
        print(Predictor(Path(sys.argv[1])).predict([[5.1, 3.5, 1.4, 0.2]]).shape)
    """
    ended = run_python(finished.folder, "-c", code, str(finished.run / "model" / "model.npz"))
    assert (ended.stdout, ended.returncode) == ("(1, 3)\n", 0), ended.stderr


def test_no_saved_file_is_a_pickle(finished: Recorded) -> None:
    files = [file for file in (finished.folder / "outputs" / "mlartifacts").rglob("*") if file.is_file()]
    files += [file for file in finished.run.rglob("*") if file.is_file()]
    suffixes = {file.suffix for file in files}
    assert ".npz" in suffixes
    assert suffixes & {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin"} == set()
    assert [file for file in files if re.match(rb"\x80[\x02-\x05]", file.read_bytes()[:2])] == []
    for file in files:
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                assert [name for name in arrays.files if arrays[name].dtype.hasobject] == []
    (model,) = (file for file in files if file.name == "MLmodel")
    flavor = yaml.safe_load(model.read_text())["flavors"]
    assert flavor.keys() == {"python_function"}
    assert "python_model" not in flavor["python_function"]  # MLflow's entry for a pickled object
    assert (model.parent / flavor["python_function"]["artifacts"]["model"]["path"]).suffix == ".npz"


# --- wrong requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["lr=fast", "model.hidden=[0]"])
def test_a_wrong_request_records_nothing(finished: Recorded, wrong: str) -> None:
    experiment = finished.mlflow.info.experiment_id
    from mlflow.entities import ViewType

    ended = mlpframe(finished.folder, "dataset=iris", wrong)
    assert ended.returncode == 2
    assert 1 <= len(ended.stderr.splitlines()) <= 3
    assert "Traceback" not in ended.stderr
    runs = finished.client.search_runs([experiment], run_view_type=ViewType.ALL)
    assert [run.info.run_id for run in runs] == [finished.run_id]
    assert list(finished.folder.glob("outputs/runs/*/*")) == [finished.run]


def test_a_wrong_request_does_not_remove_the_empty_folder_where_it_ran(tmp_path: Path) -> None:
    (tmp_path / "something").touch()  # not empty: if mlpframe removed too much, pytest's folders would stay
    folder = tmp_path / "mine" / "empty"
    folder.mkdir(parents=True)
    ended = mlpframe(folder, "model.hidden=[0]", "tracking=none")
    assert ended.returncode == 2
    assert folder.is_dir()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("override", ["tags.purpose=test", "tags={purpose: test}"])
def test_a_tag_is_set_like_every_other_key(tmp_path: Path, override: str) -> None:
    ended = mlpframe(tmp_path, override, "tracking=none", "dataset=synth", "dataset.num_train=50", "epochs=1")
    assert ended.returncode == 0, ended.stderr
    configuration = yaml.safe_load((the_run(tmp_path) / "config" / "config.yaml").read_text())
    assert configuration["tags"] == {"purpose": "test"}


# --- commands that import MLflow ---------------------------------------------------------------------

MAIN = """
import sys
import threading
from mlpframe.cli import main
try:
    main()
finally:
    print("IMPORTED", *sorted({"matplotlib", "mlflow", "sqlalchemy"} & sys.modules.keys()))
"""


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), (["lrr=1"], 2)])
def test_commands_that_do_not_train_do_not_import_mlflow(
    tmp_path: Path, arguments: list[str], status: int
) -> None:
    ended = run_python(tmp_path, "-c", MAIN, *arguments)
    assert ended.returncode == status, ended.stderr
    assert ended.stdout.splitlines()[-1] == "IMPORTED"
    assert list(tmp_path.iterdir()) == []


# --- the store ---------------------------------------------------------------------------------------

CREATE = """
import os, sys, time
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store
from mlflow.entities import Metric
from mlpframe.tracking import store

def make(uri, number, processes):
    client = store.client(uri)
    Path(f"made{number}").touch()
    while len(list(Path().glob("made*"))) < processes:  # all processes create the experiment at the same time
        assert time.time() < at + 100, "another process has failed"
        time.sleep(0.001)
    experiment = store.experiment_id(client, uri, "shared")
    run = client.create_run(experiment, run_name=str(number)).info.run_id
    client.log_batch(run, metrics=[Metric("m", step, 0, step) for step in range(100)])
    client.set_terminated(run)

uri, processes = sys.argv[1], int(sys.argv[2])
at = time.time() + 0.5  # all processes start together, after their imports
for number in range(processes):
    if os.fork() == 0:
        time.sleep(max(at - time.time(), 0))
        make(uri, number, processes)
        os._exit(0)
sys.exit(sum(os.wait()[1] != 0 for _ in range(processes)))
"""
MAKERS = 6


def test_recording_waits_for_a_locked_database(tmp_path: Path) -> None:
    from mlpframe.tracking.retry import persistently

    file = tmp_path / "some.db"
    first = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
    first.execute("CREATE TABLE numbers (n INTEGER)")
    first.execute("BEGIN EXCLUSIVE")
    tries = 0

    def write() -> None:
        nonlocal tries
        tries += 1
        with sqlite3.connect(file, timeout=0) as second:
            second.execute("INSERT INTO numbers VALUES (1)")

    threading.Timer(0.7, lambda: first.execute("COMMIT")).start()
    persistently(write)
    assert tries > 1
    assert first.execute("SELECT n FROM numbers").fetchall() == [(1,)]
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        persistently(lambda: first.execute("SELECT n FROM others"))


def test_processes_that_create_a_store_at_once_lose_no_run(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    ended = run_python(tmp_path, "-c", CREATE, uri, str(MAKERS))
    assert ended.returncode == 0, ended.stderr[-2000:]

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("shared")
    assert experiment.artifact_location == (tmp_path / "new" / "mlartifacts").as_uri()
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == [str(number) for number in range(MAKERS)]
    for run in runs:
        assert recorded(client, run.info.run_id) == [(step, "m", float(step)) for step in range(100)]
    assert [file.name for file in (tmp_path / "new").iterdir() if file.name.startswith(".")] == []


def test_two_runs_that_insert_a_data_set_at_the_same_moment_are_both_recorded(tmp_path: Path) -> None:
    from mlflow import MlflowClient
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    from mlpframe.tracking.messages import DataPart, End, Start
    from mlpframe.tracking.worker import RecordedRun

    uri = sqlite_uri(tmp_path)
    rows = DataPart("shared", "train", "12345678", 2, 1, 1, "regression", "float64")
    recorded_runs: list[RecordedRun] = []

    def record(name: str) -> None:
        (tmp_path / name).mkdir()
        run = RecordedRun(tmp_path / name, Start(uri, "default", name, {}, data=[rows]))
        run.end(End("FINISHED"))
        recorded_runs.append(run)

    def overtake(*statement: Any) -> None:
        """Record the second run just before the first run inserts the data set that both runs share."""
        if statement[2].startswith("INSERT INTO datasets"):
            event.remove(Engine, "before_cursor_execute", overtake)
            record("second")

    event.listen(Engine, "before_cursor_execute", overtake)
    record("first")
    assert [run.folder.name for run in recorded_runs] == ["second", "first"]
    for run in recorded_runs:
        inputs = MlflowClient(tracking_uri=uri).get_run(run.id).inputs.dataset_inputs
        assert [part.dataset.name for part in inputs] == ["shared"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a local MLflow server with a store that mlpframe created."""
    from mlpframe.tracking import store

    folder = tmp_path_factory.mktemp("server")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    store.client(uri)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", uri]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: process.poll() is not None or answers(f"{address}/health"), "the server answers")
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        yield address
    finally:
        end_group(process)


def assert_on_server(server: str, experiment: str, run: Path) -> Any:
    """Assert that the only run of an experiment on the server is complete."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=server)
    (recorded_run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert recorded_run.info.status == "FINISHED"
    assert recorded(client, recorded_run.info.run_id) == history(run)
    parts = {item.path for item in client.list_artifacts(recorded_run.info.run_id)}
    assert parts == {"config", "history", "figures", "checkpoints"}
    (model,) = client.search_logged_models([recorded_run.info.experiment_id])
    assert model.source_run_id == recorded_run.info.run_id
    return recorded_run


def test_a_server_named_in_the_configuration_gets_the_run(server: str, tmp_path: Path) -> None:
    command = [
        "dataset=iris",
        "epochs=2",
        "final=true",
        f"tracking.uri={server}",
        "tracking.experiment=option",
    ]
    ended = mlpframe(tmp_path, *command)
    assert ended.returncode == 0, ended.stderr
    run = assert_on_server(server, "option", the_run(tmp_path))
    assert {"test/loss", "test/accuracy"} <= run.data.metrics.keys()
    assert not any(name.startswith("val/") for name in run.data.metrics)
    contexts = {tag.value for item in run.inputs.dataset_inputs for tag in item.tags}
    assert contexts == {"train", "test"}
    assert not (tmp_path / "outputs" / "mlflow.db").exists()


def test_a_server_named_in_the_environment_gets_the_run_and_training_imports_no_mlflow(
    server: str, tmp_path: Path
) -> None:
    command = ["dataset=synth", "dataset.num_train=64", "epochs=2", "tracking.experiment=variable"]
    ended = run_python(tmp_path, "-c", MAIN, *command, MLFLOW_TRACKING_URI=server)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "IMPORTED matplotlib"  # imported last, to draw the figures
    assert_on_server(server, "variable", the_run(tmp_path))
    assert not (tmp_path / "outputs" / "mlflow.db").exists()


def test_a_run_whose_server_is_unreachable_keeps_everything_in_its_folder(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    command = ["dataset=synth", "dataset.num_train=64", "epochs=2", f"tracking.uri={nobody}"]
    ended = mlpframe(tmp_path, *command, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    run = the_run(tmp_path)
    assert ended.returncode == 1
    assert "MLflow did not record the run" in ended.stderr
    assert str(run) in ended.stderr
    assert "Traceback" not in ended.stderr
    assert record(run)["status"] == "finished"
    assert [step for step, name, _ in history(run) if name == "val/loss"] == [2, 4]
    assert checkpoint.load(run / "checkpoints" / "last.npz")[1]["progress"]["step"] == 4
    assert (run / "model" / "model.npz").exists()


# --- the pages ---------------------------------------------------------------------------------------

needs_proc = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks into Linux's /proc")


@pytest.fixture
def pages(finished: Recorded, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start ``mlpframe ui`` on a copy of the store of a finished run."""
    (tmp_path / "outputs").mkdir()
    shutil.copy(finished.folder / "outputs" / "mlflow.db", tmp_path / "outputs")
    port = free_port()
    process = start(tmp_path, "ui", "--port", str(port))
    try:
        yield process, port
    finally:
        end_group(process)


@needs_proc
def test_the_pages_are_served_only_on_this_machine_and_end_with_ctrl_c(
    pages: tuple[subprocess.Popen[str], int],
) -> None:
    process, port = pages
    address = f"http://127.0.0.1:{port}/"
    wait_until(lambda: process.poll() is not None or answers(address), "the pages are there")
    assert process.poll() is None, process.communicate()[0]
    everybody = descendants(process.pid)
    assert listening(everybody) == {("127.0.0.1", port)}
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does on Ctrl-C
    assert process.wait(timeout=30) == 0
    wait_until(lambda: running(everybody) == [], "nobody is left")
    assert not answers(address)


@needs_proc
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=lambda signum: signum.name)
def test_no_process_is_left_when_the_command_is_terminated(
    pages: tuple[subprocess.Popen[str], int], signum: int
) -> None:
    process, _ = pages
    wait_until(lambda: len(descendants(process.pid)) > 2, "MLflow has started its server")
    everybody = descendants(process.pid)
    process.send_signal(signum)
    process.wait(timeout=30)
    wait_until(lambda: running(everybody) == [], "nobody is left", seconds=30)
