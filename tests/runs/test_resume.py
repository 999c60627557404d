"""Killed or interrupted runs continue: no value is lost or recorded twice, and all bits are the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlpframe.api import Array
from mlpframe.training import checkpoint
from tests.running import (
    descendants,
    history,
    mlpframe,
    record,
    recorded,
    run_folders,
    start,
    the_run,
    wait_until,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")  # in MLflow

PLUGIN = '''
"""A callback that pauses a run at a step, until the test lets the run continue."""

import time
from pathlib import Path

from mlpframe.api import Callback, register


@register("hold")
class Hold(Callback):
    """Waits at a step until the working directory has the file ``let_go``.

    Options:
        step: the step at which the run waits.
    """

    def __init__(self, *, step: int = 0) -> None:
        self.step = step

    def on_window(self, run):
        if run.step == self.step and not Path("let_go").exists():
            Path("held").touch()
            while not Path("let_go").exists():
                time.sleep(0.01)
            Path("held").unlink()
'''
HELD_AT, SAVED_AT, LAST = 390, 270, 540
"""The update at which the run pauses, the update of the last checkpoint, and the last update. An epoch has
135 updates, so the run pauses in its third epoch, after the checkpoint of the second epoch."""
PRESET = f"""
# @package _global_
# log_every=1 records a value after every update, so values are recorded between the checkpoint and the pause.
defaults:
  - override /dataset: synth
  - override /optimizer: adam
  - override /schedule: cosine
dataset:
  num_train: 1080
  num_val: 200
batch_size: 8
epochs: 4
log_every: 1
callbacks:
  hold:
    step: {HELD_AT}
"""
COMMAND = ("experiment=held", "seed=7")


@dataclass
class Place:
    """A folder for commands, with the plugin that pauses a run, and a store that several folders share."""

    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[str] | None = None

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return mlpframe(self.folder, *arguments, **self.environment)

    def start(self, *arguments: str) -> None:
        """Start a command that will pause."""
        (self.folder / "let_go").unlink(missing_ok=True)
        self.process = start(self.folder, *arguments, **self.environment)

    def wait_until_held(self, *, known_to_mlflow: bool) -> subprocess.Popen[str]:
        process = self.process
        assert process is not None
        held = self.folder / "held"
        wait_until(lambda: process.poll() is not None or held.exists(), "the run is held")
        assert process.poll() is None, process.communicate()[0]
        if known_to_mlflow:
            wait_until(lambda: any(self.folder.glob("outputs/runs/*/*/mlflow.json")), "MLflow has the run")
        return process

    def let_go(self) -> None:
        (self.folder / "let_go").touch()

    @property
    def run(self) -> Path:
        return the_run(self.folder)

    @property
    def run_id(self) -> str:
        run_id: str = json.loads((self.run / "mlflow.json").read_text())["run_id"]
        return run_id


class Places:
    """Creates folders for commands, with a plugin folder and an MLflow store that these folders share."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.store = f"sqlite:///{base / 'store' / 'mlflow.db'}"
        self.made: list[Place] = []
        plugins = base / "plugins"
        (plugins / "conf" / "experiment").mkdir(parents=True)
        (plugins / "hold.py").write_text(PLUGIN)
        (plugins / "conf" / "experiment" / "held.yaml").write_text(PRESET)

    def make(self, name: str) -> Place:
        folder = self.base / name
        folder.mkdir()
        plugins = str(self.base / "plugins")
        self.made.append(Place(folder, {"MLPFRAME_PLUGINS": plugins, "MLFLOW_TRACKING_URI": self.store}))
        return self.made[-1]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    places = Places(tmp_path_factory.mktemp("resume"))
    yield places
    for place in places.made:  # a failed test may have left a process running
        if place.process is not None and place.process.poll() is None:
            place.process.kill()
            place.process.wait()


@pytest.fixture(scope="module")
def started(places: Places) -> dict[str, Place]:
    """Runs at the same time: two to kill, and one for each interrupting signal."""
    started_places = {name: places.make(name) for name in ("killed", "all", "SIGINT", "SIGTERM")}
    for place in started_places.values():
        place.start(*COMMAND)
    return started_places


@pytest.fixture(scope="module")
def client(started: dict[str, Place]) -> Any:
    """An MLflow client for the store of the runs."""
    from mlflow import MlflowClient

    store = started["killed"].environment["MLFLOW_TRACKING_URI"]
    wait_until(Path(store.removeprefix("sqlite:///")).exists, "the store is made")
    return MlflowClient(tracking_uri=store)


@pytest.fixture(scope="module")
def undisturbed(places: Places) -> Place:
    place = places.make("undisturbed")
    place.let_go()
    ended = place.command(*COMMAND, "tracking=none")
    assert ended.returncode == 0, ended.stderr
    return place


@pytest.fixture(scope="module")
def uninterrupted(undisturbed: Place) -> Path:
    """The folder of a run with the same settings that was not interrupted."""
    return run_folders(undisturbed.folder)[0]


def final_state(run: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    arrays, meta = checkpoint.load(run / "checkpoints" / "last.npz")
    assert meta["progress"]["step"] == LAST
    return {name: array for name, array in arrays.items() if not name.startswith("history/time/")}, meta


def assert_same_end(run: Path, uninterrupted: Path) -> None:
    """Assert that weights, optimizer state, random streams and history are the same to the bit."""
    (arrays, meta), (expected, expected_meta) = final_state(run), final_state(uninterrupted)
    assert arrays.keys() == expected.keys()
    assert [name for name in expected if arrays[name].tobytes() != expected[name].tobytes()] == []
    assert meta["streams"] == expected_meta["streams"]
    models = [checkpoint.load(folder / "model" / "model.npz")[0]["w"] for folder in (run, uninterrupted)]
    assert models[0].tobytes() == models[1].tobytes()
    assert history(run, without_time=True) == history(uninterrupted, without_time=True)


def assert_recorded(client: Any, place: Place) -> None:
    """Assert that MLflow has every value of the run's history exactly once."""
    rows = recorded(client, place.run_id)
    assert [key for key, n in Counter((step, name) for step, name, _ in rows).items() if n > 1] == []
    assert rows == history(place.run)
    run = client.get_run(place.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlpframe.status"] == "finished"
    assert len(client.search_runs([run.info.experiment_id], f"attributes.run_id = '{place.run_id}'")) == 1


# --- killed ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(started: dict[str, Place], client: Any) -> Place:
    """A run that was killed after MLflow had received values of updates after the last checkpoint."""
    place = started["killed"]
    process = place.wait_until_held(known_to_mlflow=True)

    def is_ahead() -> bool:
        return any(m.step > SAVED_AT for m in client.get_metric_history(place.run_id, "train/loss_window"))

    wait_until(is_ahead, "MLflow has values from after the checkpoint")
    assert client.get_run(place.run_id).info.status == "RUNNING"
    process.kill()
    assert process.wait() == -signal.SIGKILL
    place.let_go()
    return place


def test_the_tracking_process_marks_a_killed_run(killed: Place, client: Any) -> None:
    wait_until(lambda: client.get_run(killed.run_id).info.status != "RUNNING", "MLflow hears of the end")
    run = client.get_run(killed.run_id)
    assert run.info.status == "KILLED"
    assert run.data.tags["mlpframe.status"] == "killed"
    assert run.info.end_time >= run.info.start_time
    artifacts = client.list_artifacts(killed.run_id, "checkpoints")
    assert {Path(artifact.path).name for artifact in artifacts} == {"last.npz", "best.npz"}
    assert checkpoint.load(killed.run / "checkpoints" / "last.npz")[1]["progress"]["step"] == SAVED_AT


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("seed=8", ["seed was 7 and is now 8"]),
        ("model.hidden=[20]", ["model.hidden was [100] and is now [20]"]),
    ],
)
def test_a_changed_configuration_is_refused_and_changes_no_file(
    killed: Place, client: Any, change: str, named: list[str]
) -> None:
    wait_until(lambda: client.get_run(killed.run_id).info.status != "RUNNING", "MLflow hears of the end")
    assert " killed " in killed.command("runs").stdout  # the first look repairs the record
    before = record(killed.run), client.get_run(killed.run_id).to_dictionary()
    assert before[0]["status"] == "killed"
    ended = killed.command(f"resume={killed.run_id}", change)
    assert ended.returncode == 2
    assert 1 <= len(ended.stderr.splitlines()) <= 3
    assert [word for word in named if word not in ended.stderr] == []
    assert (record(killed.run), client.get_run(killed.run_id).to_dictionary()) == before


@pytest.mark.parametrize("resume", ["0123456789abcdef0123456789abcdef", "outputs/runs/nowhere"])
def test_an_unknown_run_cannot_be_continued(killed: Place, resume: str) -> None:
    ended = killed.command(f"resume={resume}")
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"resume={resume}: no run of that id or folder")
    assert len(ended.stderr.splitlines()) == 1
    assert run_folders(killed.folder) == [killed.run]


def test_a_damaged_checkpoint_is_named(killed: Place, places: Places) -> None:
    place = places.make("damaged")
    run = place.folder / "a_run"
    shutil.copytree(killed.run, run)
    file = run / "checkpoints" / "last.npz"
    file.write_bytes(file.read_bytes()[:-1000])
    ended = place.command("resume=a_run", "tracking=none")
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"checkpoint {file} cannot be read: ")
    assert len(ended.stderr.splitlines()) <= 3


@pytest.fixture(scope="module")
def continued(killed: Place, client: Any) -> Place:
    wait_until(lambda: client.get_run(killed.run_id).info.status != "RUNNING", "MLflow hears of the end")
    ended = killed.command(f"resume={killed.run_id}")
    assert ended.returncode == 0, ended.stderr
    assert f"continued from step {SAVED_AT}" in ended.stdout
    return killed


def test_a_killed_run_continues_to_the_bits_of_an_unbroken_run(continued: Place, uninterrupted: Path) -> None:
    assert_same_end(continued.run, uninterrupted)
    assert record(continued.run)["status"] == "finished"


def test_the_continuation_is_the_same_mlflow_run(continued: Place, client: Any) -> None:
    assert_recorded(client, continued)
    tags = client.get_run(continued.run_id).data.tags
    assert tags["mlpframe.resumed_from"] == f"step {SAVED_AT}"
    artifacts = {
        a.path for part in ("history", "figures") for a in client.list_artifacts(continued.run_id, part)
    }
    assert {"history/history.csv", "figures/loss.png"} <= artifacts


@pytest.fixture(scope="module")
def killed_with_tracking(started: dict[str, Place], client: Any) -> Place:
    """A run that was killed together with its tracking process, as when the machine loses its power."""
    place = started["all"]
    process = place.wait_until_held(known_to_mlflow=True)
    for pid in descendants(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    place.let_go()
    assert client.get_run(place.run_id).info.status == "RUNNING"
    return place


def test_the_next_command_that_looks_marks_a_run_whose_tracking_process_was_killed_too(
    killed_with_tracking: Place, client: Any
) -> None:
    place = killed_with_tracking
    assert record(place.run)["status"] == "running"
    assert " killed " in place.command("runs").stdout
    run = client.get_run(place.run_id)
    assert (run.info.status, run.data.tags["mlpframe.status"]) == ("KILLED", "killed")
    assert record(place.run)["status"] == "killed"


def test_a_run_whose_tracking_process_was_killed_too_is_continued(
    killed_with_tracking: Place, uninterrupted: Path, client: Any
) -> None:
    ended = killed_with_tracking.command("resume=latest")
    assert ended.returncode == 0, ended.stderr
    assert_same_end(killed_with_tracking.run, uninterrupted)
    assert_recorded(client, killed_with_tracking)


# --- interrupted -------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[signal.SIGINT, signal.SIGTERM], ids=lambda signum: signum.name)
def interrupted(request: pytest.FixtureRequest, started: dict[str, Place]) -> tuple[Place, int, int]:
    """A run that a signal to its process group interrupted: its folder, the signal, the exit status."""
    place = started[request.param.name]
    process = place.wait_until_held(known_to_mlflow=True)
    os.killpg(process.pid, request.param)
    place.let_go()
    output = process.communicate()[0]
    assert f"interrupted by signal {request.param}" in output
    assert "Traceback" not in output
    return place, request.param, process.returncode


def test_an_interrupted_run_saves_its_state_and_says_so(
    interrupted: tuple[Place, int, int], client: Any
) -> None:
    place, signum, exit_status = interrupted
    assert exit_status == 128 + signum
    assert record(place.run)["status"] == "interrupted"
    assert checkpoint.load(place.run / "checkpoints" / "last.npz")[1]["progress"]["step"] == HELD_AT
    run = client.get_run(place.run_id)
    assert run.info.status == "KILLED"
    assert run.data.tags["mlpframe.status"] == "interrupted"
    assert recorded(client, place.run_id) == history(place.run)


def test_an_interrupted_run_continues_to_the_same_bits(
    interrupted: tuple[Place, int, int], uninterrupted: Path, client: Any
) -> None:
    place, signum, _ = interrupted
    if signum == signal.SIGINT:
        ended = place.command(*COMMAND, "resume=auto")
    else:
        ended = place.command(f"resume={os.path.relpath(place.run, place.folder)}")
    assert ended.returncode == 0, ended.stderr
    assert f"continued from step {HELD_AT}" in ended.stdout
    assert run_folders(place.folder) == [place.run]
    assert_same_end(place.run, uninterrupted)
    assert_recorded(client, place)
    assert client.get_run(place.run_id).data.tags["mlpframe.resumed_from"] == f"step {HELD_AT}"


# --- resume=auto -------------------------------------------------------------------------------------


def interrupt(place: Place, *arguments: str) -> None:
    """Start a command and interrupt it while it pauses."""
    place.start(*arguments)
    process = place.wait_until_held(known_to_mlflow=False)
    process.send_signal(signal.SIGINT)
    place.let_go()
    output = process.communicate()[0]
    assert process.returncode == 130, output


def test_auto_starts_a_run_if_no_run_can_be_continued(undisturbed: Place, uninterrupted: Path) -> None:
    ended = undisturbed.command(*COMMAND, "tracking=none", "resume=auto")
    assert ended.returncode == 0, ended.stderr
    assert "continued" not in ended.stdout
    first, second = run_folders(undisturbed.folder)
    assert first == uninterrupted  # the first run has finished, so a new run starts
    assert_same_end(second, uninterrupted)


def test_a_command_with_auto_continues_its_own_run(places: Places) -> None:
    place = places.make("auto_twice")
    command = (*COMMAND, "tracking=none", "resume=auto")
    interrupt(place, *command)
    ended = place.command(*command)
    assert ended.returncode == 0, ended.stderr
    assert f"continued from step {HELD_AT}" in ended.stdout


def test_auto_finds_a_run_by_the_option_of_a_callback(places: Places) -> None:
    place = places.make("auto_callback")
    command = (*COMMAND, "tracking=none", "callbacks.checkpoint.every_seconds=30")
    interrupt(place, *command)
    ended = place.command(*command, "resume=auto")
    assert ended.returncode == 0, ended.stderr
    assert f"continued from step {HELD_AT}" in ended.stdout
