"""The command ``compare`` on a real sweep, on runs of other programs, and with wrong requests."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlpframe.api import UsageError
from mlpframe.cli import run
from tests.running import ROOT, mlpframe, sqlite_uri
from tests.runs.test_sweep import SMALL, Swept, sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")  # in MLflow

Compare = Callable[..., str]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """A sweep over two optimizers and three seeds."""
    return sweep(tmp_path_factory.mktemp("compared"), "optimizer=adam,sgd", "seed=0,1,2", *SMALL)


@pytest.fixture
def compare(swept: Swept, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Compare:
    """Run ``compare`` in the folder of the sweep. Returns the printed text."""
    monkeypatch.chdir(swept.folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def command(*arguments: str) -> str:
        assert run(["compare", *arguments]) == 0
        return capsys.readouterr().out

    return command


def values(swept: Swept, optimizer: str, metric: str = "val/accuracy") -> dict[str, float]:
    """The values of a metric in the store, by seed."""
    return {
        child.data.params["seed"]: child.data.metrics[metric]
        for child in swept.children
        if child.data.params["optimizer.name"] == optimizer
    }


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def ids(swept: Swept, optimizer: str) -> list[str]:
    return [r.info.run_id for r in swept.children if r.data.params["optimizer.name"] == optimizer]


# --- the output --------------------------------------------------------------------------------------


def test_a_single_sweep_is_compared_group_by_group(swept: Swept, compare: Compare, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    shown = compare(swept.parent.info.run_id, "--out", str(out))
    assert {file.name for file in out.iterdir()} == {
        "groups.csv",
        "pairs.csv",
        "comparison.md",
        "val_accuracy.png",
    }
    groups = {row["group"]: row for row in rows(out / "groups.csv")}
    assert groups.keys() == {"adam", "sgd"}
    for name, row in groups.items():
        recorded = list(values(swept, name).values())
        assert row["metric"] == "val/accuracy"
        assert row["runs"] == "3"
        assert float(row["mean"]) == pytest.approx(statistics.mean(recorded), rel=1e-12)
        assert float(row["std"]) == pytest.approx(statistics.stdev(recorded), rel=1e-9)
    (pair,) = rows(out / "pairs.csv")
    adam, sgd = values(swept, "adam"), values(swept, "sgd")
    differences = [adam[seed] - sgd[seed] for seed in ("0", "1", "2")]
    assert pair["pairs"] == "3"
    assert float(pair["difference"]) == pytest.approx(statistics.mean(differences))
    t = statistics.mean(differences) / (statistics.stdev(differences) / 3**0.5)
    assert float(pair["test statistic"]) == pytest.approx(t)
    assert "paired over 3 seeds" in pair["sentence"]
    assert pair["sentence"] in shown
    assert pair["sentence"] in (out / "comparison.md").read_text()
    assert (out / "val_accuracy.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert "│ adam" in shown


def test_several_metrics_and_another_confidence_level_are_reported(swept: Swept, compare: Compare) -> None:
    shown = compare(
        swept.parent.info.run_id, "--metric", "val/loss", "--metric", "time/epoch_seconds", "--level", "0.9"
    )
    (folder,) = swept.folder.glob("outputs/comparisons/*/*")  # the default folder
    assert shown.splitlines()[-1] == f"files   {folder.relative_to(swept.folder)}"
    assert [row["metric"] for row in rows(folder / "pairs.csv")] == ["val/loss", "time/epoch_seconds"]
    assert (folder / "val_loss.png").exists()
    assert (folder / "time_epoch_seconds.png").exists()
    assert shown.count("90 % interval of the mean") == 2


# --- the forms of an argument ------------------------------------------------------------------------


def sentence(compare: Compare, out: Path, *arguments: str) -> str:
    compare(*arguments, "--out", str(out))
    (pair,) = rows(out / "pairs.csv")
    return pair["sentence"]


def test_every_way_to_name_a_group_selects_the_same_runs(
    swept: Swept, compare: Compare, tmp_path: Path
) -> None:
    whole = sentence(compare, tmp_path, swept.parent.info.run_id)
    filters = [f"params.`optimizer.name` = '{name}'" for name in ("adam", "sgd")]
    labelled = [f"{name}={run_id[:20]}" for name in ("adam", "sgd") for run_id in reversed(ids(swept, name))]
    folders = [
        f"{child.data.params['optimizer.name']}={job.relative_to(swept.folder)}"
        for job in swept.jobs
        for child in [swept.child(job)]
    ]
    forms = [
        [str(swept.sweep)],
        [str(swept.sweep.relative_to(swept.folder))],
        [swept.parent.info.run_id[:12]],
        ["params.`dataset.name` = 'synth'"],
        ["tags.`mlpframe.status`='finished'"],  # a filter without spaces, and no label= for the group
        filters,
        [f"adam={filters[0]}", filters[1]],
        labelled,
        folders,
        [swept.parent.info.run_id, "--experiment", "mlpframe", "--uri", sqlite_uri(swept.folder)],
    ]
    for form in forms:
        assert sentence(compare, tmp_path, *form) == whole, form


def test_a_comparison_of_single_runs_says_that_there_is_no_test(swept: Swept, compare: Compare) -> None:
    shown = compare(ids(swept, "adam")[0], ids(swept, "sgd")[0])
    assert "with a single run of adam and of sgd, the difference may be chance" in shown
    assert "nan" not in shown


def test_a_sweep_over_only_seeds_is_described(compare: Compare, tmp_path: Path) -> None:
    compare("params.`optimizer.name` = 'sgd'", "--out", str(tmp_path))
    (row,) = rows(tmp_path / "groups.csv")
    assert (row["group"], row["runs"]) == ("all", "3")
    assert rows(tmp_path / "pairs.csv") == []


# --- runs that other programs have recorded ----------------------------------------------------------

Log = Callable[..., str]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    """A client of an empty store, and the address of the store."""
    from mlpframe.tracking.store import client

    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    return client(uri), uri


@pytest.fixture
def log(store: tuple[Any, str], request: pytest.FixtureRequest) -> Log:
    """A function that records a run in the experiment with the name of this test."""
    client, _ = store
    experiment = client.create_experiment(request.node.name)

    def make(
        params: Mapping[str, Any], metrics: Mapping[str, float], status: str = "FINISHED", **tags: str
    ) -> str:
        run = client.create_run(experiment, tags={key.replace("__", "."): tags[key] for key in tags})
        for key, value in params.items():
            client.log_param(run.info.run_id, key, value)
        for key, value in metrics.items():
            client.log_metric(run.info.run_id, key, value)
        client.set_terminated(run.info.run_id, status)
        return str(run.info.run_id)

    return make


@pytest.fixture
def compare_here(
    store: tuple[Any, str],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Compare:
    """Run ``compare`` on the experiment of this test. Returns the printed text."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> str:
        arguments = (*arguments, "--uri", store[1], "--experiment", request.node.name, "--out", "out")
        assert run(["compare", *arguments]) == 0
        return capsys.readouterr().out

    return command


def test_unfinished_and_repeated_runs_are_left_out(log: Log, compare_here: Compare) -> None:
    for lr in ("0.1", "0.2"):
        for seed in range(3):
            log({"lr": lr, "seed": seed}, {"val/loss": 9.0})  # the next line repeats this run
            log({"lr": lr, "seed": seed}, {"val/loss": float(lr) + seed**2 * float(lr)})
    log({"lr": "0.1", "seed": 3}, {"val/loss": 100.0}, "FAILED")
    log({"lr": "0.2", "seed": 3}, {"train/loss": 0.1})
    shown = compare_here("params.lr LIKE '%'", "--metric", "val/loss")
    assert "note: lr=0.1: left out runs that did not finish: 1 FAILED" in shown
    assert "note: lr=0.2: val/loss is missing in 1 of 7 runs" in shown
    assert shown.count("left out runs that a newer run repeats: 3") == 2
    assert "lr=0.1 against lr=0.2: -0.27 [-0.78, 0.25], paired over 3 seeds" in shown
    groups = {row["group"]: row["runs"] for row in rows(Path("out/groups.csv"))}
    assert groups == {"lr=0.1": "3", "lr=0.2": "3"}


def test_repeated_runs_all_count_when_times_are_compared(log: Log, compare_here: Compare) -> None:
    for seconds in (1.0, 1.1, 1.2):
        log({"lr": "0.1", "seed": 0}, {"time/epoch_seconds": seconds})
    compare_here("params.lr = '0.1'", "--metric", "time/epoch_seconds")
    (row,) = rows(Path("out/groups.csv"))
    assert row["runs"] == "3"


def test_runs_that_differ_in_more_than_the_seed_are_not_paired(log: Log, compare_here: Compare) -> None:
    for width in (10, 20):
        for seed in (0, 1):
            for name in ("a", "b"):
                metrics = {"val/loss": width + seed + (name == "b") / 2}
                log({"model.name": name, "width": width, "seed": seed}, metrics)
    shown = compare_here("params.`model.name` = 'a'", "params.`model.name` = 'b'")
    assert "val/loss of a against b: -0.5 [-10.5, 9.5], unpaired, 4 against 4 runs" in shown
    assert "note: a: the runs of this group differ in more than the seed: width" in shown


def test_runs_without_seeds_or_settings_are_compared(log: Log, compare_here: Compare) -> None:
    for i, name in enumerate("xxxyyy"):
        log({}, {"val/loss": i**2}, who=name)
    shown = compare_here("tags.who = 'x'", "the others=tags.who = 'y'")
    # the runs have no settings, so the filters name the groups
    assert "tags.who = 'x'" in shown
    assert "the others: -15" in shown
    assert "unpaired, 3 against 3 runs" in shown


def test_a_group_without_finished_runs_cannot_be_compared(log: Log, compare_here: Compare) -> None:
    log({"lr": "1", "seed": 0}, {"val/loss": 1.0})
    log({"lr": "2", "seed": 0}, {"val/loss": 1.0}, "KILLED")
    with pytest.raises(
        UsageError, match=r"only finished runs are compared, and there is no finished run of lr=2"
    ):
        compare_here("params.lr = '1'", "params.lr = '2'")
    assert not Path("out").exists()


def test_brackets_and_vertical_bars_in_a_label_are_printed(log: Log, compare_here: Compare) -> None:
    for seed in (0, 1):
        for hidden in ("[red]", "a|b"):
            log({"model.hidden": hidden, "seed": seed}, {"val/loss": seed + len(hidden)})
    shown = compare_here("params.seed LIKE '%'")
    assert "model.hidden=[red]" in shown
    assert r"| model.hidden=a\|b |" in Path("out/comparison.md").read_text()


# --- wrong requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["zzz"], "'zzz' is not a run's id, a run's folder or a filter"),
        (["outputs/sweep"], "outputs/sweep"),
        (["outputs"], "outputs has no MLflow run; expected the folder of a recorded run or sweep"),
        (["0000000000"], "0000000000: no run in sqlite:///"),
        (["params.optimizer.nam = 'adam'"], "no run has 'optimizer.nam' in its params; nearest: opti"),
        (["params.lr ~ '3' = "], "Invalid"),
        (["params.seed = '99'"], "matches the filter params.seed = '99'"),
        (["params.seed = '0'", "params.lr LIKE '%'"], "is in two groups"),
        (["params.seed = '0'", "--metric", "val/acuracy"], "nearest: val/accuracy"),
        (["params.seed = '0'", "--level", "95"], "95.0 is not in the range 0<x<1"),
        (["params.seed = '0'", "--experiment", "mlpfram"], "experiment 'mlpfram'"),
        (
            ["params.seed = '0'", "--uri", "sqlite:///nowhere/m.db"],
            "there is no store sqlite:///nowhere/m.db",
        ),
        (
            ["params.seed = '0'", "--uri", f"sqlite:///{ROOT / 'README.md'}"],
            "README.md is not an SQLite database",
        ),
        (["params.seed = '0'", "--uri", "ftp://x"], "ftp"),
        ([], "Missing argument"),
        (["a", "--levl", "1"], "--levl"),
    ],
)
def test_a_wrong_request_is_answered_in_a_few_lines(
    swept: Swept, compare: Compare, arguments: list[str], words: str
) -> None:
    before = {*swept.folder.rglob("*")}
    with pytest.raises(UsageError) as raised:
        compare(*arguments)
    assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) <= 3
    changed = {path for path in {*swept.folder.rglob("*")} ^ before if not path.name.startswith("mlflow.db")}
    assert changed == set()


def test_an_ambiguous_run_id_is_refused(log: Log, compare_here: Compare) -> None:
    # an id begins with one of sixteen characters, so two of 17 runs share the first character
    letters = [log({}, {})[0] for _ in range(17)]
    several = max(letters, key=letters.count)
    with pytest.raises(UsageError, match=rf"{several}: the ids of \d+ runs begin with this"):
        compare_here(several)


def test_a_run_folder_of_another_store_names_that_store(
    swept: Swept, compare: Compare, store: tuple[Any, str]
) -> None:
    with pytest.raises(UsageError, match="was recorded in another store; give --uri sqlite:///"):
        compare(str(swept.sweep), "--uri", store[1])


def test_compare_works_on_the_command_line(tmp_path: Path) -> None:
    done = mlpframe(tmp_path, "compare", "0123abcd")
    assert done.returncode == 2
    assert done.stderr.startswith("there is no store sqlite:///")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
    shown = mlpframe(tmp_path, "compare", "--help")
    assert shown.returncode == 0
    assert "--metric" in shown.stdout
