"""The command ``report`` with ``--quick``. A test that is marked long runs the full report."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mlpframe import registries
from mlpframe.commands.report import derivations
from mlpframe.commands.report.parts import Tolerance, beside
from mlpframe.commands.report.plan import RATES, jobs
from mlpframe.commands.report.results import Run
from mlpframe.training.history import History
from tests.data import data_dir, needs_mnist
from tests.running import PATIENCE, end_group, mlpframe, sqlite_uri, start, wait_until

QUESTIONS = ["q1", "q3", "q4", "q5", "q6", "q7_1", "q7_2", "q7_3", "q7_4", "test"]


class Page(HTMLParser):
    """Parses an HTML page: its links, the names of its headings, and elements that are not closed."""

    VOID = frozenset(("meta", "br", "hr", "img", "link"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.names: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.references += [v for k, v in values.items() if k in ("href", "src", "xlink:href") and v]
        if tag == "h2" and values.get("id"):
            self.names.append(str(values["id"]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``report --quick`` was interrupted and then finished by a second command."""
    folder = tmp_path_factory.mktemp("report")
    runs = folder / "outputs" / "report" / "quick" / "runs"
    process = start(folder, "report", "--quick", "--jobs", "2")
    try:
        wait_until(lambda: any(_finished(runs)), "a run of the report ends")
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does on Ctrl-C
        assert process.wait(PATIENCE) == 130
    finally:
        end_group(process)
    before = {name: (runs / name / "run.json").stat().st_mtime_ns for name in _finished(runs)}
    assert 0 < len(before) < len(jobs(quick=True))
    done = mlpframe(folder, "report", "--quick", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^{len(before)} of \d+ runs have finished already$", done.stdout, re.MULTILINE)
    assert {name: (runs / name / "run.json").stat().st_mtime_ns for name in before} == before
    return folder


def _finished(runs: Path) -> list[str]:
    records = {file.parent.name: json.loads(file.read_text()) for file in runs.glob("*/run.json")}
    return [name for name, record in records.items() if record.get("status") == "finished"]


def page_of(folder: Path, version: str = "quick") -> str:
    return (folder / "outputs" / "report" / version / "page" / "report.html").read_text()


def test_the_quick_report_has_every_question_and_figure(small: Path) -> None:
    text = page_of(small)
    page = Page(text)
    assert page.open == []
    assert page.names == ["summary", *QUESTIONS, "environment", "runs"]
    captions = re.findall(r"<figcaption>(Figure \d\w?)", text)
    assert captions == ["Figure 1", "Figure 2", "Figure 3", "Figure 4", "Figure 5a", "Figure 5b", "Figure 6"]
    assert text.count("<svg") == 12  # seven figures and five formulas
    assert 'class="bad"' not in text


def test_the_page_loads_no_other_file(small: Path) -> None:
    outside = [r for r in Page(page_of(small)).references if not r.startswith("#")]
    assert all(r.startswith("http://127.0.0.1:5000/#/experiments/") for r in outside)
    assert len(outside) == len(jobs(quick=True))


def test_every_run_is_a_child_of_the_report(small: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(sqlite_uri(small))
    folder = small / "outputs" / "report" / "quick"
    parent = json.loads((folder / "mlflow.json").read_text())
    run = client.get_run(parent["run_id"])
    assert run.info.status == "FINISHED"
    assert [file.path for file in client.list_artifacts(parent["run_id"])] == ["page"]
    query = f"tags.`mlflow.parentRunId` = '{parent['run_id']}'"
    children = client.search_runs([parent["experiment_id"]], query, max_results=1000)
    assert Counter(child.info.status for child in children) == {"FINISHED": len(jobs(quick=True))}


def test_a_missing_data_folder_is_a_wrong_request(tmp_path: Path) -> None:
    done = mlpframe(tmp_path, "report", "--data-dir", str(tmp_path / "none"), "--jobs", "1")
    assert done.returncode == 2
    assert "is missing and could not be downloaded" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_plan_has_the_runs_of_the_report() -> None:
    counts = Counter(job.part for job in jobs(quick=False))
    assert counts["q7_2"] == 3
    assert counts["q7_3"] == 3 * len(RATES) == 18
    assert len({job.name for job in jobs(quick=False)}) == counts.total()


def test_every_derivation_passes_its_numeric_check() -> None:
    assert "linear" in registries["layer"]  # loads the plugins
    all_derivations = [*derivations.questions_1_and_2(), *derivations.question_6()]
    assert len(all_derivations) == 5
    assert all(distance < 1e-8 for derivation in all_derivations for _, distance in derivation.checks)


def test_a_tolerance_is_a_bound() -> None:
    assert Tolerance(0.1).agrees(2.0, 2.2)
    assert not Tolerance(0.1).agrees(2.0, 2.21)
    assert Tolerance(0.01, relative=False).agrees(0.5, 0.49)
    assert not Tolerance(0.01, relative=False).agrees(0.5, 0.485)
    table = beside("", ["a", "b"], [1.0, 1.0], [1.05, 1.5], Tolerance(0.1), judged=True)
    assert table.verdicts == [True, False]
    assert beside("", ["a"], [1.0], [1.5], Tolerance(0.1), judged=False).verdicts == []


def test_windows_are_joined_and_the_adaptive_rate_continues(tmp_path: Path) -> None:
    history = History()
    for step, loss in ((10, 4.0), (20, 2.0), (30, 3.0), (40, 1.0)):
        history.add(step, {"train/loss_window": loss, "lr": 0.1 * loss})
    history.add(20, {"train/loss": 3.0})
    history.add(40, {"train/loss": 2.0})
    run = Run(jobs(quick=True)[0], tmp_path, history, {})
    assert run.windows(20) == ([20, 40], [3.0, 2.0])
    assert run.last_windows() == [2.0, 1.0]
    assert run.last_lr == pytest.approx(0.1 / 3)


@pytest.mark.long
@needs_mnist
def test_the_measured_report_agrees_with_the_printed_report(tmp_path: Path) -> None:
    done = mlpframe(tmp_path, "report", MLPFRAME_DATA=str(data_dir()))
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'class="bad"' not in page_of(tmp_path, "full")
