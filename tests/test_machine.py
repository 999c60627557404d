"""mlpframe uses features that only some systems have, and runs without these features."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from mlpframe.api import Table
from mlpframe.machine import processors
from tests.running import ROOT, environment, mlpframe, record, run_python, the_run

ELSEWHERE = """
import mmap, os

for name in ("sched_getaffinity", "sched_setaffinity", "nice", "setsid", "killpg"):
    delattr(os, name)
del mmap.MADV_DONTNEED


class Mapping(mmap.mmap):
    @property
    def madvise(self):
        raise AttributeError("madvise")


mmap.mmap = Mapping
"""
"""Code that a process runs at its start: it removes features of Python that only some systems have."""


@pytest.fixture
def elsewhere(tmp_path: Path) -> str:
    """The value of ``PYTHONPATH`` that makes a process run ``ELSEWHERE`` at its start."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(ELSEWHERE)
    return f"{folder}{os.pathsep}{environment()['PYTHONPATH']}"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to processors")
def test_processors_counts_the_processors_that_the_process_may_use() -> None:
    bind_to_one = "import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])"
    count = "from mlpframe.machine import processors; print(processors())"
    done = run_python(ROOT, "-c", f"{bind_to_one}; {count}")
    assert done.stdout == "1\n"


def test_processors_counts_all_processors_on_systems_without_affinity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert processors() == os.cpu_count()


def test_a_mapped_table_is_read_again_after_its_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.arange(12.0).reshape(4, 3)
    np.save(tmp_path / "x.npy", x)
    table = Table(np.load(tmp_path / "x.npy", mmap_mode="r"), np.zeros(4))
    assert table.mapping is not None
    table.release()
    np.testing.assert_array_equal(table.x, x)
    monkeypatch.delattr(mmap, "MADV_DONTNEED", raising=False)
    table.release()
    np.testing.assert_array_equal(table.x, x)


def test_the_simulated_system_lacks_nice_and_madvise(elsewhere: str) -> None:
    statement = "import os, mmap; print([hasattr(*a) for a in ((os, 'nice'), (mmap.mmap(-1, 1), 'madvise'))])"
    assert run_python(ROOT, "-c", statement, PYTHONPATH=elsewhere).stdout == "[False, False]\n"


@pytest.mark.parametrize("tracking", ["none", "mlflow"])
def test_a_run_needs_no_feature_that_only_some_systems_have(
    tmp_path: Path, elsewhere: str, tracking: str
) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.random((300, 5), dtype=np.float32))
    np.save(tmp_path / "y.npy", rng.integers(0, 3, 300))
    data = ("dataset=npy", "dataset.x=x.npy", "dataset.y=y.npy")
    done = mlpframe(tmp_path, *data, "epochs=1", f"tracking={tracking}", PYTHONPATH=elsewhere)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert record(the_run(tmp_path))["status"] == "finished"
    assert ("MLflow run" in done.stdout) == (tracking == "mlflow")


def test_options_that_count_processors_need_no_such_feature_either(tmp_path: Path, elsewhere: str) -> None:
    for command in (("-m", "mlpframe", "report", "--help"), ("-m", "benchmarks", "engines", "--help")):
        done = run_python(tmp_path, *command, PYTHONPATH=elsewhere)
        assert done.returncode == 0, done.stderr
