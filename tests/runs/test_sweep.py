"""Sweeps: an MLflow parent with its children, a correct table, and failures that stop no other job."""

from __future__ import annotations

import csv
import json
import signal
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlpframe.runs.folder import RunFolder
from mlpframe.runs.summary import group_by_settings
from tests.running import end_group, history, mlpframe, record, sqlite_uri, start, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")  # in MLflow

SMALL = ("dataset=synth", "dataset.num_train=200", "dataset.num_val=100", "epochs=2")


@dataclass
class Swept:
    """A sweep that has ended, with its MLflow runs: the parent run of the sweep, and a child for each job."""

    folder: Path
    ended: subprocess.CompletedProcess[str]
    client: Any
    parent: Any
    children: list[Any]

    @property
    def sweep(self) -> Path:
        (folder,) = self.folder.glob("outputs/sweeps/*/*")
        return folder

    @property
    def jobs(self) -> list[Path]:
        return sorted((p for p in self.sweep.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))

    def child(self, job: Path) -> Any:
        run_id = json.loads((job / "mlflow.json").read_text())["run_id"]
        (run,) = (child for child in self.children if child.info.run_id == run_id)
        return run

    def files(self, part: str) -> set[str]:
        return {item.path for item in self.client.list_artifacts(self.parent.info.run_id, part)}


def sweep(folder: Path, *arguments: str) -> Swept:
    """Run a sweep on a new store in a folder."""
    from mlflow import MlflowClient

    ended = mlpframe(folder, "-m", *arguments)
    client = MlflowClient(tracking_uri=sqlite_uri(folder))
    runs = client.search_runs([client.get_experiment_by_name("mlpframe").experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1, ended.stderr
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert len(children) == len(runs) - 1
    return Swept(folder, ended, client, parents[0], children)


# --- a sweep without a failure -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    return sweep(tmp_path_factory.mktemp("swept"), "lr=0.1,0.03", "seed=0,1", *SMALL)


def test_one_parent_has_a_child_for_each_combination(swept: Swept) -> None:
    assert swept.ended.returncode == 0, swept.ended.stderr
    combinations = {(run.data.params["lr"], run.data.params["seed"]) for run in swept.children}
    assert combinations == {("0.1", "0"), ("0.1", "1"), ("0.03", "0"), ("0.03", "1")}
    assert len(swept.children) == 4
    assert {run.info.status for run in [swept.parent, *swept.children]} == {"FINISHED"}
    assert swept.parent.info.start_time <= min(run.info.start_time for run in swept.children)
    assert swept.parent.info.end_time >= max(run.info.end_time for run in swept.children)
    assert swept.parent.data.tags["mlpframe.status"] == "finished"


def test_the_overrides_of_a_child_are_the_overrides_of_the_user(swept: Swept) -> None:
    for run in swept.children:
        lr, seed = run.data.params["lr"], run.data.params["seed"]
        assert run.data.tags["mlpframe.overrides"] == " ".join([f"lr={lr}", f"seed={seed}", *SMALL])
        assert not any(name.startswith("tracking") for name in run.data.params)


def test_each_child_has_the_metrics_of_its_folder(swept: Swept) -> None:
    assert [job.name for job in swept.jobs] == ["0", "1", "2", "3"]
    for job in swept.jobs:
        assert record(job)["status"] == "finished"
        assert swept.child(job).data.metrics == record(job)["metrics"]
        assert len([name for _, name, _ in history(job) if name == "val/loss"]) == 2
    assert len({swept.child(job).info.run_id for job in swept.jobs}) == 4


def test_the_parent_has_figures_and_the_table(swept: Swept) -> None:
    figures = swept.files("figures")
    assert figures == {"figures/train_loss.png", "figures/val_loss.png", "figures/val_accuracy.png"}
    for name in figures:
        assert (swept.sweep / name).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert len((swept.sweep / name).read_bytes()) > 10_000
    assert swept.files("sweep") == {"sweep/summary.csv"}


def test_the_table_is_mean_and_standard_deviation_over_the_seeds(swept: Swept) -> None:
    with (swept.sweep / "sweep" / "summary.csv").open(newline="") as file:
        rows = {row["configuration"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {"lr=0.1", "lr=0.03"}
    for lr in ("0.1", "0.03"):
        row = rows[f"lr={lr}"]
        assert row["runs"] == "2"
        shown = [line for line in swept.ended.stdout.splitlines() if f"lr={lr} " in line and "│" in line]
        assert len(shown) == 1
        for metric in ("train/loss", "val/loss", "val/accuracy"):
            values = [run.data.metrics[metric] for run in swept.children if run.data.params["lr"] == lr]
            mean, std = statistics.mean(values), statistics.stdev(values)
            assert float(row[metric]) == pytest.approx(mean, rel=1e-12)
            assert float(row[f"{metric} std"]) == pytest.approx(std, rel=1e-9)
            assert std > 0
            assert f"{mean:.4f} ± {std:.4f}" in shown[0]


def test_a_lower_rate_learns_less_in_two_epochs(swept: Swept) -> None:
    # the children were trained with the settings that they record
    loss = {
        (r.data.params["lr"], r.data.params["seed"]): r.data.metrics["train/loss"] for r in swept.children
    }
    for seed in ("0", "1"):
        assert loss["0.1", seed] < loss["0.03", seed]


# --- jobs that fail ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def partly_failed(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """A sweep of four jobs: one finishes, one diverges, two are refused."""
    folder = tmp_path_factory.mktemp("failed")
    small = ("dataset=diabetes", "loss=mse", "epochs=2")
    return sweep(folder, "model.hidden=[10],[0]", "lr=0.0001,1000000000.0", *small)


def test_a_failed_job_stops_no_other_job_and_every_failure_is_named(partly_failed: Swept) -> None:
    output = partly_failed.ended.stdout
    assert partly_failed.ended.returncode == 1
    assert [record(job)["status"] for job in partly_failed.jobs] == [
        "finished",
        "diverged",
        "failed",
        "failed",
    ]
    lines = {i: [line for line in output.splitlines() if line.startswith(f"job {i} (")] for i in range(4)}
    assert lines[0] == []
    assert [len(lines[i]) for i in (1, 2, 3)] == [1, 1, 1]
    assert "model.hidden=[10] lr=1000000000.0" in lines[1][0]
    assert "diverged: the training loss became" in lines[1][0]
    for i, lr in ((2, "0.0001"), (3, "1000000000.0")):
        assert f"model.hidden=[0] lr={lr}" in lines[i][0]
        assert "hidden must be at least 1, not 0" in lines[i][0]
    assert "3 of 4 jobs did not finish" in output
    assert "Traceback" not in output + partly_failed.ended.stderr


def test_mlflow_marks_failed_jobs(partly_failed: Swept) -> None:
    assert partly_failed.parent.info.status == "FAILED"
    assert partly_failed.parent.data.tags["mlpframe.status"] == "failed"
    good, diverged = (partly_failed.child(job) for job in partly_failed.jobs[:2])
    assert len(partly_failed.children) == 2  # the other jobs were refused before their runs began
    assert good.info.status == "FINISHED"
    assert diverged.info.status == "FAILED"
    assert diverged.data.tags["mlpframe.status"] == "diverged"


def test_the_table_has_the_finished_jobs(partly_failed: Swept) -> None:
    with (partly_failed.sweep / "sweep" / "summary.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["runs"] == "1"
    (metrics,) = (record(job)["metrics"] for job in partly_failed.jobs[:1])
    assert float(row["val/loss"]) == metrics["val/loss"]
    assert row["val/loss std"] == ""  # one run has no standard deviation
    assert partly_failed.files("figures") == {"figures/train_loss.png", "figures/val_loss.png"}


def test_a_sweep_with_a_value_of_the_wrong_type_starts_nothing(swept: Swept) -> None:
    from mlflow.entities import ViewType

    ended = mlpframe(swept.folder, "-m", "lr=0.1,fast", *SMALL)
    assert ended.returncode == 2
    assert "lr=fast" in ended.stderr
    assert len(ended.stderr.splitlines()) <= 3
    runs = swept.client.search_runs([swept.parent.info.experiment_id], run_view_type=ViewType.ACTIVE_ONLY)
    assert len(runs) == 5
    assert list(swept.folder.glob("outputs/sweeps/*/*")) == [swept.sweep]


PLUGIN = '''
"""A callback that pauses a run until the test lets the run continue."""

import time
from pathlib import Path

from mlpframe.api import Callback, register


@register("hold")
class Hold(Callback):
    """Waits after the first epoch until the working directory has the file ``let_go``."""

    def on_epoch(self, run):
        while not Path("let_go").exists():
            Path("held").touch()
            time.sleep(0.01)
'''


def interrupt_while_held(folder: Path, *arguments: str) -> tuple[int, str, dict[str, str]]:
    """Interrupt a command after its first epoch. Returns status, output and environment."""
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "hold.py").write_text(PLUGIN)
    own = {"MLPFRAME_PLUGINS": str(plugins)}
    process = start(folder, *arguments, "callbacks.hold={}", **own)
    try:
        wait_until(lambda: process.poll() is not None or (folder / "held").exists(), "the run is held")
        assert process.poll() is None, process.communicate()[0]
        process.send_signal(signal.SIGINT)
        (folder / "let_go").touch()
        output = process.communicate()[0]
    finally:
        end_group(process)
    return process.returncode, output, own


def test_ctrl_c_ends_the_whole_sweep(tmp_path: Path) -> None:
    status, output, _ = interrupt_while_held(tmp_path, "-m", "seed=0,1,2", "tracking=none", *SMALL)
    records = [record(file.parent) for file in tmp_path.glob("outputs/sweeps/*/*/*/run.json")]
    assert [job["status"] for job in records] == ["interrupted"], output
    assert status == 130


# --- jobs in parallel --------------------------------------------------------------------------------


def test_jobs_in_parallel_on_a_new_store_lose_no_run(tmp_path: Path) -> None:
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=4"]
    small = ("dataset=synth", "dataset.num_train=200", "dataset.num_val=100", "epochs=1")
    swept = sweep(tmp_path, "seed=range(4)", *launcher, *small)
    assert swept.ended.returncode == 0, swept.ended.stdout + swept.ended.stderr
    assert [job.name for job in swept.jobs] == [str(number) for number in range(4)]
    for job in swept.jobs:
        child = swept.child(job)
        assert child.info.status == "FINISHED"
        assert child.data.params["seed"] == str(record(job)["seed"])
        assert child.data.metrics == record(job)["metrics"]
    assert sorted(int(child.data.params["seed"]) for child in swept.children) == list(range(4))
    assert swept.parent.info.status == "FINISHED"
    with (swept.sweep / "sweep" / "summary.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["runs"] == "4"
    losses = [child.data.metrics["val/loss"] for child in swept.children]
    assert float(row["val/loss"]) == pytest.approx(statistics.mean(losses), rel=1e-12)


# --- damaged records ----------------------------------------------------------------------------------


def test_a_damaged_record_of_one_job_stops_no_other(tmp_path: Path) -> None:
    from mlpframe.runs.summary import read_jobs

    for number in range(4):
        (tmp_path / str(number)).mkdir()
    for number in (0, 1, 3):
        RunFolder(tmp_path / str(number)).write(status="finished", overrides=[f"seed={number}"])
    torn = tmp_path / "1" / "run.json"
    torn.write_bytes(torn.read_bytes()[:-20])
    RunFolder(tmp_path / "3").write(status="running")  # of a process that was killed
    jobs = read_jobs(tmp_path)
    assert [job.status for job in jobs] == ["finished", "damaged", "not started", "killed"]
    assert jobs[0].overrides == ["seed=0"]
    assert f"{torn} is damaged" in (jobs[1].error or "")
    assert record(tmp_path / "3")["status"] == "killed"


# --- the groups of the table -------------------------------------------------------------------------


def test_runs_are_grouped_by_the_settings_that_differ_except_the_seed() -> None:
    from mlpframe.runs.summary import Job

    def job(*overrides: str) -> Job:
        return Job(0, Path(), list(overrides), "finished", {}, None)

    jobs = [job("lr=1", f"model={m}", f"seed={s}") for m in ("a", "b") for s in (0, 1, 2)]
    assert {label: len(members) for label, members in group_by_settings(jobs).items()} == {
        "model=a": 3,
        "model=b": 3,
    }
    seeds = [job("lr=1", f"seed={s}") for s in (0, 1)]
    assert {label: len(members) for label, members in group_by_settings(seeds).items()} == {"all": 2}
