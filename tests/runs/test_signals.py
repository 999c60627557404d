"""Ctrl-C, SIGTERM and SIGHUP at any moment: the status says so, and nothing half-made is left."""

from __future__ import annotations

import fcntl
import os
import pty
import random
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.running import (
    descendants,
    end_group,
    environment,
    mlpframe,
    record,
    running,
    sqlite_uri,
    start,
    the_run,
    wait_until,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")  # in MLflow

RUN = ("dataset=iris", "epochs=2", "callbacks.progress=null")
STACK = ("replicas=2", *RUN)
SWEEP = ("-m", "seed=0,1", *RUN)
CAUGHT = 1 << (signal.SIGTERM - 1)


def catches_signals(pid: int) -> bool:
    """Whether the command has begun: Python itself does not catch SIGTERM."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True  # has ended
    (line,) = (line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(line.split()[1], 16) & CAUGHT)


def send(process: subprocess.Popen[str], number: int, times: int) -> None:
    """Send a signal to the process group, as a terminal does, once or twice in quick succession."""
    for i in range(times):
        if i:
            time.sleep(0.03)
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return


def attempt(folder: Path, words: Sequence[str], number: int, delay: float, times: int) -> None:
    """Send a signal ``delay`` seconds after a command has begun, and check everything that it leaves."""
    folder.mkdir(exist_ok=True)
    process = start(folder, *words)
    try:
        wait_until(lambda: catches_signals(process.pid), "the command begins")
        time.sleep(delay)
        family = descendants(process.pid)
        send(process, number, times)
        output = process.communicate(timeout=120)[0]
    finally:
        wait_until(lambda: not running(family), "the tracking process ends")
        end_group(process)
    about = f"signal {number} x {times} after {delay:.3f} s of {' '.join(words)}: {output}"
    assert process.returncode in (0, 128 + number, -number), about
    assert "Traceback" not in output, about
    assert "Exception ignored" not in output, about
    assert_tidy(folder, about)


def assert_tidy(folder: Path, about: str) -> None:
    """No folder without a record is left, and the next look leaves no run that is shown as running."""
    places = [*folder.glob("outputs/runs/*/*"), *folder.glob("outputs/sweeps/*/*/[0-9]*")]
    assert [path for path in places if not (path / "run.json").exists()] == [], about
    shown = mlpframe(folder, "runs", "--all")
    assert shown.returncode == 0, shown.stderr
    assert " running " not in shown.stdout, about
    assert {record(path)["status"] for path in places} <= {"finished", "interrupted", "killed"}, about
    assert [name for path in places for name in path.rglob(".*.[0-9]*")] == [], about
    if (folder / "outputs" / "mlflow.db").exists():
        assert statuses(folder) <= {"FINISHED", "KILLED", "FAILED"}, about


def statuses(folder: Path) -> set[str]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=sqlite_uri(folder))
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs: Any = client.search_runs(experiments)
    return {run.info.status for run in runs}


def duration(folder: Path, words: Sequence[str]) -> float:
    """Seconds from the moment at which a command has begun until its end, with an existing store."""
    folder.mkdir(exist_ok=True)
    for _ in range(2):
        process = start(folder, *words)
        wait_until(lambda pid=process.pid: catches_signals(pid), "the command begins")
        began = time.monotonic()
        output = process.communicate()[0]
        assert process.returncode == 0, output
    return time.monotonic() - began


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def test_signals_at_random_moments_leave_nothing_half_made(tmp_path: Path) -> None:
    chance = random.Random(12)
    words = (*RUN, "tracking=none")
    longest = duration(tmp_path / "whole", words)
    for i in range(8):
        delay = chance.uniform(0, longest)
        attempt(tmp_path / "place", words, SIGNALS[i % 3], delay, times=1 + i % 2)
    attempt(tmp_path / "tracked", RUN, signal.SIGINT, chance.uniform(0, longest), times=2)


@pytest.mark.long
@pytest.mark.parametrize("words", [RUN, STACK, SWEEP], ids=["run", "stack", "sweep"])
def test_many_signals_at_random_moments(tmp_path: Path, words: Sequence[str]) -> None:
    chance = random.Random(" ".join(words))
    longest = duration(tmp_path / "place", words)
    for i in range(60):
        attempt(tmp_path / "place", words, SIGNALS[i % 3], chance.uniform(0, 1.1 * longest), times=1 + i % 2)


def test_a_command_that_ignores_hangups_goes_on(tmp_path: Path) -> None:
    words = [*RUN, "tracking=none"]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        process = start(tmp_path, *words)
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_until(lambda: catches_signals(process.pid), "the command begins")
    while process.poll() is None:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.05)
    assert process.returncode == 0, process.communicate()[0]


def own_terminal() -> None:
    """Give the session its terminal. The command must not ignore a closed terminal, as ``nohup`` asks."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_a_run_whose_terminal_is_closed_saves_its_state(tmp_path: Path) -> None:
    terminal, its_side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mlpframe", "dataset=synth", "epochs=100000", "tracking=none"],
        cwd=tmp_path,
        env=environment(),
        stdin=its_side,
        stdout=its_side,
        stderr=its_side,
        start_new_session=True,
        preexec_fn=own_terminal,
    )
    os.close(its_side)
    try:
        while not list(tmp_path.glob("outputs/runs/*/*/checkpoints/last.npz")):
            assert os.read(terminal, 10_000)
        os.close(terminal)
        assert process.wait(timeout=60) == 128 + signal.SIGHUP
    finally:
        process.kill()
    assert record(the_run(tmp_path))["status"] == "interrupted"
