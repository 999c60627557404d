"""The command ``runs``: the list, the difference of two runs, and which runs it removes or refuses to."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from mlpframe.api import UsageError
from mlpframe.commands import dispatch
from mlpframe.runs.finding import find_run
from mlpframe.runs.folder import RunFolder
from tests.running import environment, mlpframe, record, run_folders, run_python, sqlite_uri

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")  # in MLflow

TINY = ("dataset=iris", "epochs=1", "model.hidden=[3]", "callbacks.progress=null")
Show = Callable[..., str]


def train(folder: Path, *arguments: str) -> None:
    done = mlpframe(folder, *arguments)
    assert done.returncode == 0, done.stderr


def jobs(place: Path) -> list[Path]:
    return sorted(file.parent for file in place.glob("outputs/sweeps/*/*/*/run.json"))


def files(folder: Path) -> dict[Path, bytes]:
    return {
        file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a named run and a sweep over two learning rates, without MLflow. No test changes it."""
    folder = tmp_path_factory.mktemp("trained")
    train(folder, *TINY, "tracking=none", "seed=1", "run_name='[first] run'")
    train(folder, "-m", *TINY, "tracking=none", "seed=2", "lr=0.1,0.3")
    return folder


@pytest.fixture
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a copy of the runs of ``trained``."""
    shutil.copytree(trained / "outputs", tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    """A function that runs the command ``runs`` with arguments. Returns the printed text."""

    def show(*arguments: str, status: int = 0) -> str:
        assert dispatch(["runs", *arguments]) == status
        return capsys.readouterr().out

    return show


# --- the list ----------------------------------------------------------------------------------------


def test_the_list_shows_every_run_with_its_results_newest_first(place: Path, show: Show) -> None:
    (single,) = run_folders(place)
    lines = show().splitlines()
    headings = ["run", "status", "when", "of", "overrides", "val/loss", "val/accuracy"]
    assert lines[0].split() == headings
    for line, run in zip(lines[1:4], [*reversed(jobs(place)), single], strict=True):
        metrics = record(run)["metrics"]
        assert line.split()[-2:] == [f"{metrics['val/loss']:.4f}", f"{metrics['val/accuracy']:.4f}"]
        assert find_run(line.split()[0]).path == run
        assert (" sweep " in line) == (run != single)
        assert "dataset=iris epochs=1 model.hidden=[3] seed=" in line
        assert "tracking" not in line
    assert " [first] run: dataset=iris " in lines[3]


def test_the_footer_shows_the_disk_space_of_the_files(place: Path, show: Show) -> None:
    footer = show().splitlines()[-1]
    (unit,) = set(re.findall(r"[\d.]+ (\w+)", footer))
    assert unit == "kB"
    numbers = [float(number) for number in re.findall(r"([\d.]+) kB", footer)]

    def taken(pattern: str) -> float:
        return sum(file.stat().st_size for file in place.glob(pattern) if file.is_file()) / 1000

    expected = [
        taken("outputs/runs/**/*") + taken("outputs/sweeps/**/*"),
        taken("outputs/runs/**/*"),
        taken("outputs/sweeps/**/*"),
        taken("outputs/**/checkpoints/*"),
    ]
    assert numbers == pytest.approx(expected, abs=0.051)


def test_the_latest_runs_are_shown_first(place: Path, show: Show) -> None:
    lines = show("-n", "1").splitlines()
    assert find_run(lines[1].split()[0]).path == jobs(place)[1]
    assert lines[2] == "1 of 3 runs; --all shows all"
    assert len(show("-n", "1", "--all").splitlines()) == 5


def test_the_list_as_json_has_every_run(place: Path, show: Show) -> None:
    listed = json.loads(show("--json"))
    assert [Path(run["folder"]) for run in listed] == [*reversed(jobs(place)), *run_folders(place)]
    for run in listed:
        kept = record(Path(run["folder"]))
        assert find_run(run["id"]).path == Path(run["folder"])
        assert run["status"] == "finished"
        assert run["mlflow_id"] is run["damage"] is run["error"] is None
        assert {key: run[key] for key in ("name", "overrides", "metrics")} == {
            key: kept[key] for key in ("name", "overrides", "metrics")
        }
    assert [run["of"] for run in listed] == ["sweep", "sweep", "run"]
    assert len(json.loads(show("--json", "-n", "2"))) == 2


def test_a_run_with_a_damaged_record_is_listed(place: Path, show: Show) -> None:
    (run,) = run_folders(place)
    file = run / "run.json"
    file.write_bytes(file.read_bytes()[:100])
    (line,) = (line for line in show().splitlines() if line.startswith(run.name))
    assert re.search(r" damaged +.* run\.json is damaged: ", line)
    (listed,) = (run for run in json.loads(show("--json")) if run["status"] == "damaged")
    assert listed["folder"] == str(run)
    assert listed["metrics"] is None


def test_a_run_that_is_going_on_is_told_from_one_that_was_killed(place: Path, show: Show) -> None:
    (run,) = run_folders(place)
    folder = RunFolder(run)
    folder.write(status="running")
    folder.acquire()
    (line,) = (line for line in show().splitlines() if line.startswith(run.name))
    assert line.split()[1] == "running"
    folder.release()
    (line,) = (line for line in show().splitlines() if line.startswith(run.name))
    assert line.split()[1] == "killed"


def test_a_narrow_terminal_cuts_off_the_overrides_alone(
    place: Path, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    for run in jobs(place):
        RunFolder(run).write(status="interrupted")
    lines = click.unstyle(show()).splitlines()[:-1]
    assert max(map(len, lines)) <= 80
    for line, run in zip(lines[1:], [*reversed(jobs(place)), *run_folders(place)], strict=True):
        name, status, *_, accuracy = line.split()
        assert find_run(name).path == run
        assert status == record(run)["status"]
        assert accuracy == f"{record(run)['metrics']['val/accuracy']:.4f}"
        assert "…" in line


def test_without_runs_the_list_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, show: Show
) -> None:
    monkeypatch.chdir(tmp_path)
    assert show().startswith("there are no runs in outputs/; ")
    assert json.loads(show("--json")) == []
    assert list(tmp_path.iterdir()) == []


def test_the_list_needs_no_library_that_takes_long_to_import(place: Path) -> None:
    code = """
import sys
from mlpframe.cli import run
run(["runs", "--all"])
print(sorted({"mlflow", "hydra", "matplotlib", "scipy", "pandas"} & set(sys.modules)))
"""
    done = run_python(place, "-c", code)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_misspelled_command_is_refused_with_the_nearest_command(place: Path) -> None:
    done = mlpframe(place, "runs", "dif")
    assert done.returncode == 2
    assert done.stderr == "runs: there is no command 'dif'; nearest: diff\n"


# --- the difference of two runs ------------------------------------------------------------------------


def rows(shown: str) -> dict[str, list[str]]:
    """The values of both runs by key, read from the table that ``diff`` prints."""
    return {line.split()[-3]: line.split()[-2:] for line in shown.splitlines()[1:] if len(line.split()) > 2}


def test_what_differs_is_shown_with_both_values(place: Path, show: Show) -> None:
    first, second = jobs(place)
    shown = show("diff", str(first), str(second))
    assert shown.splitlines()[-1] == "no difference: data, versions"
    differences = rows("\n".join(shown.splitlines()[:-1]))
    assert differences["lr"] == ["0.1", "0.3"]
    metrics = [record(run)["metrics"] for run in (first, second)]
    assert differences.keys() == {
        "lr",
        *(name for name in metrics[0] if metrics[0][name] != metrics[1][name]),
    }
    for name in differences.keys() - {"lr"}:
        assert [float(value) for value in differences[name]] == pytest.approx(
            [one[name] for one in metrics], rel=1e-5
        )


def test_other_data_and_versions_are_differences(place: Path, show: Show) -> None:
    (single,), (job, _) = run_folders(place), jobs(place)
    other = RunFolder(job)
    other.write(versions={**record(job)["versions"], "numpy": "1.0"})
    differences = rows(show("diff", single.name, str(job)))
    assert differences["seed"] == ["1", "2"]  # another seed also splits the rows in another way
    assert differences["lr"] == ["null", "0.1"]
    assert differences["numpy"] == [record(single)["versions"]["numpy"], "1.0"]
    assert differences["train"] == [record(run)["data"]["train"] for run in (single, job)]


def test_a_run_is_not_compared_with_itself(place: Path) -> None:
    (single,) = run_folders(place)
    with pytest.raises(UsageError, match="are the same run"):
        dispatch(["runs", "diff", single.name, str(single)])


def test_a_damaged_configuration_is_named(place: Path) -> None:
    (single,) = run_folders(place)
    for content in (b"a: [1", b"just text", b"\xff\xfe\x00"):
        (single / "config" / "config.yaml").write_bytes(content)
        with pytest.raises(UsageError, match=r"config\.yaml (cannot be read|is damaged): ") as refused:
            dispatch(["runs", "diff", single.name, "latest"])
        assert "\n" not in str(refused.value)


# --- what is removed -----------------------------------------------------------------------------------


def test_the_folder_is_removed_with_everything_in_it(place: Path, show: Show) -> None:
    (single,) = run_folders(place)
    others = files(place / "outputs" / "sweeps")
    shown = show("rm", single.name, "--yes")
    assert shown.splitlines()[-1] == f"removed {single.relative_to(place)}"
    assert list((place / "outputs" / "runs").iterdir()) == []
    assert files(place / "outputs" / "sweeps") == others
    with pytest.raises(UsageError, match="no run of that id or folder"):
        dispatch(["runs", "rm", single.name, "--yes"])


def test_a_damaged_run_is_removed(place: Path, show: Show) -> None:
    (single,) = run_folders(place)
    (single / "run.json").write_text("{")
    (single / "mlflow.json").write_text("{")
    shown = show("rm", single.name, str(jobs(place)[0]), "--yes")
    assert "nothing was deleted in MLflow: " in shown
    assert run_folders(place) == []
    assert len(jobs(place)) == 1


def test_without_a_terminal_nothing_is_removed_without_yes(place: Path) -> None:
    before = files(place)
    done = subprocess.run(
        [sys.executable, "-m", "mlpframe", "runs", "rm", "latest"],
        cwd=place,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "runs rm asks before it removes, and this is no terminal; expected --yes\n"
    assert files(place) == before


@pytest.mark.parametrize(
    ("answer", "removed", "status"), [("n", 0, 0), ("", 0, 0), ("y", 1, 0), ("\x04", 0, 130)]
)
def test_on_a_terminal_the_answer_decides_whether_the_run_is_removed(
    place: Path, answer: str, removed: int, status: int
) -> None:
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mlpframe", "runs", "rm", "latest"],
        cwd=place,
        env=environment(),
        stdin=its_end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(terminal, answer.encode() if answer == "\x04" else f"{answer}\n".encode())
    out, err = process.communicate()
    os.close(terminal)
    os.close(its_end)
    assert process.returncode == status, err
    assert "remove this run? [y/N]" in out
    assert len(jobs(place)) == 2 - removed


def outside(place: Path) -> str:
    shutil.copytree(run_folders(place)[0], place / "elsewhere" / "run")
    return "elsewhere/run"


def traversal(place: Path) -> str:
    return f"outputs/runs/../../{outside(place)}"


def link(place: Path) -> str:
    name = run_folders(place)[0].parent / "link"
    name.symlink_to(place / outside(place))
    return str(name)


def linked_day(place: Path) -> str:
    outside(place)
    (place / "outputs" / "runs" / "day").symlink_to(place / "elsewhere")
    return "outputs/runs/day/run"


def everything(place: Path) -> str:
    shutil.copy(run_folders(place)[0] / "run.json", place / "outputs")
    return "outputs"


def one_day(place: Path) -> str:
    run = run_folders(place)[0]
    shutil.copy(run / "run.json", run.parent)
    return str(run.parent)


@pytest.mark.parametrize("prepare", [outside, traversal, link, linked_day, everything, one_day])
def test_only_folders_of_runs_in_outputs_are_removed(place: Path, prepare: Callable[[Path], str]) -> None:
    name = prepare(place)
    before = files(place)
    with pytest.raises(UsageError, match="is not removed: only the folders of runs in outputs/runs/"):
        dispatch(["runs", "rm", "latest", name, "--yes"])
    assert files(place) == before


def test_a_link_in_a_run_is_removed_and_not_what_the_link_leads_to(place: Path, show: Show) -> None:
    (single,) = run_folders(place)
    (place / "precious").mkdir()
    (place / "precious" / "data.csv").write_text("1")
    (single / "data").symlink_to(place / "precious")
    show("rm", single.name, "--yes")
    assert not single.exists()
    assert (place / "precious" / "data.csv").read_text() == "1"


@pytest.mark.parametrize("lock", ["run.lock", "mlflow.lock"])
def test_a_running_run_is_not_removed(place: Path, lock: str) -> None:
    from filelock import FileLock

    (single,) = run_folders(place)
    before = files(place)
    with FileLock(single / lock), pytest.raises(UsageError, match="is still running"):
        dispatch(["runs", "rm", str(jobs(place)[0]), single.name, "--yes"])
    assert files(place) == before


# --- what is removed from MLflow -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep of four runs in MLflow. Each test removes a different run."""
    folder = tmp_path_factory.mktemp("tracked")
    train(folder, "-m", *TINY, "seed=0,1,2,3")
    return folder


@pytest.fixture
def client(tracked: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An MLflow client for the store of ``tracked``, which becomes the current folder."""
    from mlflow import MlflowClient

    monkeypatch.chdir(tracked)
    return MlflowClient(tracking_uri=sqlite_uri(tracked))


def job(tracked: Path, number: int) -> tuple[Path, str]:
    (folder,) = tracked.glob(f"outputs/sweeps/*/*/{number}")
    run_id: str = json.loads((folder / "mlflow.json").read_text())["run_id"]
    return folder, run_id


def artifact_folders(client: Any, tracked: Path, run_id: str) -> list[Path]:
    """The folders with a run's files in the store: one for the run, and one for each of its models."""
    experiment = client.get_run(run_id).info.experiment_id
    models = client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'")
    store = tracked / "outputs" / "mlartifacts"
    return [store / run_id, *(store / "models" / model.model_id for model in models)]


def test_the_entry_in_mlflow_is_removed_with_its_files(tracked: Path, client: Any, show: Show) -> None:
    (folder, run_id), (other, other_id) = job(tracked, 0), job(tracked, 1)
    removed, kept = (artifact_folders(client, tracked, one) for one in (run_id, other_id))
    assert len(removed) == len(kept) == 2
    assert all(path.is_dir() for path in (*removed, *kept))
    shown = show("rm", run_id[:10], "--yes")
    for path in (folder, *removed):
        assert f"removed {path.relative_to(tracked)}" in shown
        assert not path.exists()
    assert f"MLflow run {run_id} is marked as deleted" in shown
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    assert artifact_folders(client, tracked, run_id) == [removed[0]]  # no model is left
    assert all(path.is_dir() for path in (other, *kept))
    assert client.get_run(other_id).info.lifecycle_stage == "active"


def test_files_outside_outputs_stay(
    tracked: Path, client: Any, show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's files in a store outside ``outputs/`` of the current folder are kept."""
    folder, run_id = job(tracked, 1)
    kept = artifact_folders(client, tracked, run_id)
    copy = tmp_path / "outputs" / "runs" / "day" / "run"
    shutil.copytree(folder, copy)
    monkeypatch.chdir(tmp_path)
    shown = show("rm", run_id, "--yes")
    assert not copy.exists()
    assert shown.count("artifacts stay in file://") == 2
    assert all(path.is_dir() for path in kept)
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"


def test_a_run_whose_model_is_registered_is_refused(tracked: Path, client: Any, show: Show) -> None:
    folder, run_id = job(tracked, 2)
    experiment = client.get_run(run_id).info.experiment_id
    (model,) = client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'")
    client.create_registered_model("iris")
    client.create_model_version("iris", source=model.artifact_location, run_id=run_id)
    with pytest.raises(UsageError, match="is registered as iris/1: delete that version"):
        dispatch(["runs", "rm", run_id, "--yes"])
    assert folder.is_dir()
    assert client.get_run(run_id).info.lifecycle_stage == "active"
    client.delete_model_version("iris", "1")
    show("rm", run_id, "--yes")
    assert not folder.exists()


def test_a_run_whose_store_has_been_deleted_is_removed(place: Path, show: Show) -> None:
    (single,) = run_folders(place)
    entry = {"run_id": "ab" * 16, "uri": f"sqlite:///{place}/gone.db", "experiment_id": "1"}
    (single / "mlflow.json").write_text(json.dumps(entry))
    shown = show("rm", "abab", "--yes")
    assert f"nothing was deleted in MLflow: there is no store sqlite:///{place}/gone.db" in shown
    assert not single.exists()
    assert not (place / "gone.db").exists()


def test_a_run_whose_entry_in_mlflow_has_been_deleted_is_removed(
    place: Path, tracked: Path, show: Show
) -> None:
    (single,) = run_folders(place)
    entry = {"run_id": "ab" * 16, "uri": sqlite_uri(tracked), "experiment_id": "1"}
    (single / "mlflow.json").write_text(json.dumps(entry))
    assert f"MLflow has no run {'ab' * 16} any more" in show("rm", "abab", "--yes")
    assert not single.exists()


def test_a_run_whose_store_cannot_be_read_is_not_removed(place: Path) -> None:
    (single,) = run_folders(place)
    entry = {"run_id": "ab" * 16, "uri": "nonsense://x", "experiment_id": "1"}
    (single / "mlflow.json").write_text(json.dumps(entry))
    before = files(place)
    with pytest.raises(UsageError, match=r"^nonsense://x: "):
        dispatch(["runs", "rm", "abab", "--yes"])
    assert files(place) == before
