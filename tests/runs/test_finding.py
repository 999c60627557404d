"""Runs are found by id, folder, ``latest`` and registered model, even if other records are damaged."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from mlpframe.api import UsageError
from mlpframe.runs.finding import find_folder, find_run, find_unfinished, known_runs, shown_ids
from mlpframe.runs.folder import CHECKPOINT, MODEL, RunFolder
from mlpframe.training import checkpoint
from tests.running import mlpframe, run_folders, run_python, sqlite_uri

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")  # in MLflow

TINY = ("dataset=iris", "epochs=1", "model.hidden=[3]", "callbacks.progress=null")
UNTRACKED = (*TINY, "tracking=none")


def train(folder: Path, *arguments: str) -> None:
    done = mlpframe(folder, *arguments)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two single runs and a sweep of two runs, without MLflow. No test changes this folder."""
    folder = tmp_path_factory.mktemp("trained")
    train(folder, *UNTRACKED, "seed=1")
    train(folder, *UNTRACKED, "seed=2")
    train(folder, "-m", *UNTRACKED, "seed=3,4")
    return folder


@pytest.fixture
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a copy of the runs of ``trained``."""
    shutil.copytree(trained / "outputs", tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def name_in_mlflow(run: Path, run_id: str) -> None:
    """Write an MLflow id into a run's folder, as the tracking process would."""
    entry = {"run_id": run_id, "uri": "sqlite:///gone.db", "experiment_id": "1"}
    (run / "mlflow.json").write_text(json.dumps(entry))


def jobs(place: Path) -> list[Path]:
    return sorted(file.parent for file in place.glob("outputs/sweeps/*/*/*/run.json"))


def seed(folder: Path) -> int:
    return int(json.loads((folder / "run.json").read_text())["seed"])


# --- what is on this machine ---------------------------------------------------------------------------


@pytest.mark.usefixtures("place")
def test_all_runs_are_known_newest_first_and_say_what_made_them() -> None:
    known = known_runs()
    assert [(run.record["seed"], run.kind) for run in known] == [
        (4, "sweep"),
        (3, "sweep"),
        (2, "run"),
        (1, "run"),
    ]
    assert {run.status for run in known} == {"finished"}
    assert [run.started for run in known] == sorted((run.started for run in known), reverse=True)


def test_every_shown_id_finds_its_run(place: Path) -> None:
    first, second = run_folders(place)
    name_in_mlflow(first, "0123456789abcdef" * 2)
    name_in_mlflow(second, "0123456789abcdee" * 2)  # the first 15 letters are the same
    name_in_mlflow(jobs(place)[0], "fedcba9876543210" * 2)
    ids = shown_ids(known_runs())
    assert ids[jobs(place)[0]] == "fedcba98"
    assert ids[first] == "0123456789abcdef"
    for path, shown in ids.items():
        assert find_run(shown).path == path


def test_a_run_is_found_by_its_folder_in_every_form(place: Path) -> None:
    run = run_folders(place)[0]
    relative = run.relative_to(place)
    for name in (
        str(run),
        str(relative),
        f"{relative}/",
        f"{run.parent.name}/{run.name}",
        run.name,
        str(relative / CHECKPOINT),
        str(relative / MODEL),
    ):
        assert find_run(name).path == run, name
    job = jobs(place)[1]
    assert find_run(f"{job.parent.name}/1").path == job
    assert find_run("1").path == job  # the only run with this number


def test_a_folder_elsewhere_is_a_run_too(place: Path) -> None:
    shutil.move(run_folders(place)[0], place / "elsewhere")
    assert find_run("elsewhere").path == place / "elsewhere"
    with pytest.raises(UsageError, match=r"^elsewhere/model: no run"):
        find_run("elsewhere/model")


def test_the_folder_of_a_sweep_is_no_run(place: Path) -> None:
    sweep = jobs(place)[0].parent
    with pytest.raises(UsageError, match=rf"holds runs, expected one of them, such as .*{sweep.name}/0$"):
        find_run(str(sweep.relative_to(place)))


def test_an_ambiguous_beginning_is_refused_with_the_candidates(place: Path) -> None:
    first, second = run_folders(place)
    name_in_mlflow(first, "abcd1" + "0" * 27)
    name_in_mlflow(second, "abcd2" + "0" * 27)
    with pytest.raises(UsageError, match=r"^abcd: 2 runs have this name or beginning: ") as refused:
        find_run("abcd")
    for part in ("abcd1000", "abcd2000", first.name, second.name):
        assert part in str(refused.value)
    assert find_run("abcd1").path == first
    assert find_run("abcd2" + "0" * 27).path == second


def test_a_beginning_has_at_least_four_letters(place: Path) -> None:
    name_in_mlflow(run_folders(place)[0], "abcd" * 8)
    assert find_run("abcd").path == run_folders(place)[0]
    with pytest.raises(UsageError, match="an id has at least 4 letters"):
        find_run("abc")


def test_an_unknown_name_is_refused_with_the_nearest_name_and_the_list_command(place: Path) -> None:
    run = run_folders(place)[0]
    wrong = run.name[:-1] + "x"
    with pytest.raises(UsageError) as refused:
        find_run(wrong)
    message = str(refused.value)
    assert message.startswith(f"{wrong}: no run of that id or folder under outputs/; nearest: ")
    assert run.name in message
    assert message.endswith("python -m mlpframe runs")
    assert "\n" not in message


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", ["", ".", "..", "/", "a\0b", "x" * 5000, "*", "outputs"])
def test_an_impossible_name_is_refused_in_words(name: str) -> None:
    with pytest.raises(UsageError, match="no run of that id or folder"):
        find_run(name)


@pytest.mark.usefixtures("place")
def test_latest_is_the_newest_run_that_has_the_needed_file() -> None:
    newest = known_runs()[0].folder
    assert find_run("latest", needs=MODEL).path == newest.path
    (newest.path / MODEL).unlink()
    assert find_run("latest").path == newest.path
    assert seed(find_run("latest", needs=MODEL).path) == 3
    for run in known_runs():
        run.folder.model.unlink(missing_ok=True)
    with pytest.raises(UsageError, match="4 runs, but each has no model"):
        find_run("latest", needs=MODEL)


def test_a_continued_run_is_the_latest(place: Path) -> None:
    run = run_folders(place)[0]
    train(place, f"resume={run.name}", "epochs=2")
    assert find_run("latest").path == run


def test_a_run_without_the_needed_file_is_refused(place: Path) -> None:
    run = run_folders(place)[0]
    (run / CHECKPOINT).unlink()
    (run / MODEL).unlink()
    with pytest.raises(UsageError, match=r"has no model; the run is finished$"):
        find_run(run.name, needs=MODEL)
    with pytest.raises(UsageError, match=r"has no checkpoint to continue from; the run is finished$"):
        find_run(run.name, needs=CHECKPOINT)


def test_without_any_runs_every_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert known_runs() == []
    for name in ("latest", "abcdef", "nothing"):
        with pytest.raises(UsageError, match="python -m mlpframe runs"):
            find_run(name, needs=MODEL)
    assert list(tmp_path.iterdir()) == []  # so MLflow has not created a store


# --- damaged and foreign records -----------------------------------------------------------------------

DAMAGED = {
    "cut in half": b'{"format": 1, "status": "fini',
    "empty": b"",
    "no JSON": b"\x00\xff\x93NUMPY",
    "a list": b"[1, 2]",
    "of another program": b'{"name": "run", "version": 3}',
    "too deep": b"[" * 100_000,
    "status is a number": b'{"format": 1, "status": 3, "overrides": []}',
    "overrides are a text": b'{"format": 1, "status": "finished", "overrides": "seed=1"}',
    "metrics are a list": b'{"format": 1, "status": "finished", "overrides": [], "metrics": [1]}',
    "began at no time": b'{"format": 1, "status": "finished", "overrides": [], "started": NaN}',
    "of a later version": b'{"format": 99, "status": "finished", "overrides": []}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_record_stops_only_the_commands_that_name_its_run(place: Path, content: bytes) -> None:
    damaged, sound = run_folders(place)
    (damaged / "run.json").write_bytes(content)
    name_in_mlflow(sound, "abcd" * 8)
    assert find_run("abcd").path == sound
    assert find_run(sound.name).path == sound
    assert seed(find_run("latest").path) == 4
    assert find_unfinished(["nothing=1"]) is None
    for name in (damaged.name, str(damaged)):
        with pytest.raises(UsageError, match=r"run\.json (is damaged|has format 99)") as refused:
            find_run(name)
        assert "\n" not in str(refused.value)
        assert find_folder(name).path == damaged
    (known,) = (run for run in known_runs() if run.folder.path == damaged)
    assert known.status == "damaged"
    assert known.damage is not None


def test_continuing_a_damaged_run_is_refused_in_one_line(place: Path) -> None:
    damaged = run_folders(place)[0]
    (damaged / "run.json").write_bytes(DAMAGED["cut in half"])
    done = mlpframe(place, f"resume={damaged.name}")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"resume={damaged.name}: {damaged}/run.json is damaged: ")


@pytest.mark.parametrize("content", [b'{"run_id": "ab', b"", b"[]", b'{"run_id": 3, "uri": "x"}', b"\xff"])
def test_a_damaged_id_does_not_stop_the_list_of_runs(place: Path, content: bytes) -> None:
    damaged, sound = run_folders(place)
    (damaged / "mlflow.json").write_bytes(content)
    name_in_mlflow(sound, "abcd" * 8)
    assert find_run("abcd").path == sound
    assert find_run(damaged.name).path == damaged
    (known,) = (run for run in known_runs() if run.folder.path == damaged)
    assert known.status == "finished"
    assert "mlflow.json is damaged" in (known.damage or "")


def test_a_run_whose_process_is_gone_was_killed_and_its_record_says_so(place: Path) -> None:
    run = run_folders(place)[0]
    record = json.loads((run / "run.json").read_text())

    def leave_running() -> None:
        (run / "run.json").write_text(json.dumps({**record, "status": "running"}))
        (run / "checkpoints" / ".last.npz.4711").touch()  # a killed process wrote a checkpoint

    leave_running()
    folder = RunFolder(run)
    folder.acquire()
    (known,) = (known for known in known_runs() if known.folder.path == run)
    assert known.status == "running"
    assert find_unfinished(record["overrides"]) is None
    folder.release()
    (known,) = (known for known in known_runs() if known.folder.path == run)
    assert known.status == "killed"
    assert json.loads((run / "run.json").read_text()) == {**record, "status": "killed"}
    assert not (run / "checkpoints" / ".last.npz.4711").exists()
    assert find_unfinished(record["overrides"]) is not None
    leave_running()
    assert find_run(run.name).read()["status"] == "killed"


def test_the_tracking_process_of_a_killed_run_has_the_first_word(place: Path) -> None:
    folder = RunFolder(run_folders(place)[0])
    folder.write(status="running")
    with FileLock(folder.path / "mlflow.lock"):  # as while it still writes what has arrived
        assert folder.settled()["status"] == "killed"
        assert folder.read()["status"] == "running"
    assert folder.settled()["status"] == "killed"
    assert folder.read()["status"] == "killed"


def test_a_link_to_a_run_is_the_same_run(place: Path) -> None:
    run = run_folders(place)[0]
    (run.parent / "link").symlink_to(run)
    assert len(known_runs()) == 4
    assert find_run(f"outputs/runs/{run.parent.name}/link").path == run


# --- what only the store has ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Any]:
    """A folder with an MLflow store, the id of the only run in the store, and the weights of the run.

    The model of the run is registered as iris/1 and iris@champion. The folder of the run has been deleted.
    """
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("stored")
    train(folder, *TINY)
    (run,) = run_folders(folder)
    run_id = json.loads((run / "mlflow.json").read_text())["run_id"]
    weights = checkpoint.load(run / MODEL)[0]["w"]
    shutil.rmtree(run)
    client = MlflowClient(tracking_uri=sqlite_uri(folder))
    experiment = client.get_run(run_id).info.experiment_id
    (model,) = client.search_logged_models([experiment])
    client.create_registered_model("iris")
    client.create_model_version("iris", source=model.artifact_location, run_id=run_id)
    client.set_registered_model_alias("iris", "champion", "1")
    return folder, run_id, weights


@pytest.fixture
def in_store(stored: tuple[Path, str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str, Any]:
    monkeypatch.chdir(stored[0])
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return stored


@pytest.mark.parametrize("name", ["models:/iris/1", "models:/iris@champion", "{id}", "{id:.6}"])
def test_a_model_that_only_the_store_has_is_copied(in_store: tuple[Path, str, Any], name: str) -> None:
    _, run_id, weights = in_store
    folder = find_run(name.format(id=run_id), needs=MODEL)
    np.testing.assert_array_equal(checkpoint.load(folder.model)[0]["w"], weights)
    assert "dataset" in (folder.path / "config" / "config.yaml").read_text()
    assert "MLFLOW_TRACKING_URI" not in os.environ  # later commands of this process use the usual store


def test_a_model_that_was_registered_by_its_own_address_is_copied(
    in_store: tuple[Path, str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    place, run_id, weights = in_store
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_uri(place))
    client = mlflow.MlflowClient()
    (model,) = client.search_logged_models([client.get_run(run_id).info.experiment_id])
    version = client.create_model_version("iris", source=f"models:/{model.model_id}", run_id=run_id)
    folder = find_run(f"models:/iris/{version.version}", needs=MODEL)
    np.testing.assert_array_equal(checkpoint.load(folder.model)[0]["w"], weights)
    assert os.environ["MLFLOW_TRACKING_URI"] == sqlite_uri(place)


def test_the_copy_is_deleted_when_the_process_ends(in_store: tuple[Path, str, Any]) -> None:
    place, _, _ = in_store
    code = "import mlpframe.runs.finding as f; print(f.find_run('models:/iris/1', needs=f.MODEL).path)"
    done = run_python(place, "-c", code)
    assert done.returncode == 0, done.stderr
    assert not Path(done.stdout.strip()).exists()
    assert Path(done.stdout.strip()).name.startswith("mlpframe-")


@pytest.mark.usefixtures("in_store")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("models:/iri/1", "there is no registered model 'iri' in .*; nearest: iris"),
        ("models:/iris/9", "the model has no such version; nearest: .*iris/1"),
        ("models:/iris@chamipon", "the model has no such version; nearest: iris@champion"),
        ("models:/iris", "expected models:/<name>/<version> or models:/<name>@<alias>"),
        ("0123456789abcdef", "no run in .* has an id that begins with this; .*python -m mlpframe runs"),
    ],
)
def test_a_model_that_is_not_in_the_store_is_refused_in_words(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=f"^{name}: {says}"):
        find_run(name, needs=MODEL)


@pytest.mark.usefixtures("in_store")
def test_a_registered_model_is_no_run() -> None:
    with pytest.raises(UsageError, match="a registered model is no run"):
        find_run("models:/iris/1", needs=CHECKPOINT)


def test_a_model_of_another_program_is_refused(in_store: tuple[Path, str, Any], tmp_path: Path) -> None:
    from mlflow import MlflowClient

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "weights.bin").write_bytes(b"x")
    client = MlflowClient(tracking_uri=sqlite_uri(in_store[0]))
    client.create_registered_model("other")
    client.create_model_version("other", source=(tmp_path / "other").as_uri())
    with pytest.raises(UsageError, match=r"^models:/other/1: "):
        find_run("models:/other/1", needs=MODEL)


def test_mlflow_is_not_imported_if_the_run_has_a_folder(place: Path) -> None:
    run = run_folders(place)[0]
    name_in_mlflow(run, "abcd" * 8)
    code = f"""
import sys
from mlpframe.runs.finding import find_run
from mlpframe.runs.folder import MODEL
for name in ("latest", "abcd", "{run.name}", "{run}"):
    find_run(name, needs=MODEL)
print(sorted({{"mlflow", "hydra", "matplotlib"}} & set(sys.modules)))
"""
    done = run_python(place, "-c", code)
    assert done.stdout == "[]\n", done.stderr
