"""Run the command line of mlpframe as users do: each command in a new process and in a given folder."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120.0
"""Seconds to wait for an event before the test fails."""

Rows = list[tuple[int, str, float]]


def environment(**extra: str) -> dict[str, str]:
    """The environment of a command, without settings of Hydra, MLflow, mlpframe or pytest of the caller."""
    excluded = ("HYDRA_", "MLFLOW_", "MLPFRAME_", "PYTEST_")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(excluded)}
    return {**inherited, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **extra}


def run_python(folder: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run ``python <arguments>`` in a folder. Keyword arguments are environment variables."""
    command = [sys.executable, *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )


def mlpframe(folder: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m mlpframe <arguments>`` in a folder. Keyword arguments are environment variables."""
    return run_python(folder, "-m", "mlpframe", *arguments, **extra)


def start(folder: Path, *arguments: str, **extra: str) -> subprocess.Popen[str]:
    """Start ``python -m mlpframe <arguments>`` as the leader of a process group, as a terminal does."""
    return subprocess.Popen(
        [sys.executable, "-m", "mlpframe", *arguments],
        cwd=folder,
        env=environment(**extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_until(holds: Callable[[], Any], event: str, seconds: float = PATIENCE) -> None:
    """Wait until ``holds()`` is true. ``event`` says in the ``AssertionError`` what did not happen."""
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, f"did not happen: {event}"
        time.sleep(0.02)


def run_folders(folder: Path) -> list[Path]:
    """The folders of the single runs below ``folder``, in the order of their start."""
    return sorted(path.parent for path in folder.glob("outputs/runs/*/*/run.json"))


def the_run(folder: Path) -> Path:
    """The folder of the only run below ``folder``."""
    (run,) = run_folders(folder)
    return run


def record(run: Path) -> dict[str, Any]:
    """The record of a run, ``run.json``."""
    read: dict[str, Any] = json.loads((run / "run.json").read_text())
    return read


def history(run: Path, *, without_time: bool = False) -> Rows:
    """The history of a run: a sorted list of (step, metric, value)."""
    with (run / "history" / "history.csv").open(newline="") as file:
        rows = [(int(row["step"]), row["metric"], float(row["value"])) for row in csv.DictReader(file)]
    return sorted(row for row in rows if not (without_time and row[1].startswith("time/")))


def sqlite_uri(folder: Path) -> str:
    """The default store of commands in ``folder``."""
    return f"sqlite:///{folder / 'outputs' / 'mlflow.db'}"


def recorded(client: Any, run_id: str, *, without_time: bool = False) -> Rows:
    """(step, metric, value) of a run in MLflow, sorted. A value that was recorded twice appears twice."""
    names = client.get_run(run_id).data.metrics
    rows = [(m.step, m.key, m.value) for name in names for m in client.get_metric_history(run_id, name)]
    return sorted(row for row in rows if not (without_time and row[1].startswith("time/")))


def free_port() -> int:
    """A port of 127.0.0.1 on which no process listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether the server answers a request for ``url`` with status 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def end_group(process: subprocess.Popen[str]) -> None:
    """End a process that leads a process group, and all its descendants."""
    started = descendants(process.pid)
    for signum in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signum)
            process.wait(timeout=20)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()
    for pid in running(started):  # a descendant with its own process group
        os.kill(pid, signal.SIGKILL)
    if process.stdout is not None:
        process.stdout.close()


def _processes() -> dict[int, tuple[str, int]]:
    """State and parent of every process, from /proc; empty on systems without /proc."""
    processes = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        processes[int(folder.name)] = state, int(parent)
    return processes


def descendants(pid: int) -> list[int]:
    """A process and all its descendants."""
    family, parents = [pid], {child: parent for child, (_, parent) in _processes().items()}
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family


def running(pids: list[int]) -> list[int]:
    """The processes of ``pids`` that have not ended."""
    processes = _processes()
    return [pid for pid in pids if processes.get(pid, ("Z", 0))[0] != "Z"]


def listening(pids: list[int]) -> set[tuple[str, int]]:
    """(address, port) of every TCP socket on which one of these processes listens, from /proc."""
    sockets = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(os.readlink(link))
            except FileNotFoundError:
                continue
    addresses = set()
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        table = Path(f"/proc/net/{name}")
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                address, _, port = fields[1].rpartition(":")
                words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
                addresses.add((socket.inet_ntop(family, b"".join(words)), int(port, 16)))
    return addresses
