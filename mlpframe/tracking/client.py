"""The training process's end of tracking: messages to the process that speaks to MLflow.

Nothing here waits for MLflow while a run trains: messages are handed to a thread that writes them to the
worker's pipe. If the training process dies, the worker sees the pipe close, records what had arrived, and
marks the run as killed.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import IO, Any, Protocol

from .messages import AskId, Discard, End, Message, Metrics, Start, encode

PENDING = 200
"""Metric values sent in one message, at most; fewer when half a second has passed."""
PENDING_SECONDS = 0.5


class TrackingError(Exception):
    """The tracking process could not record something; the run's folder has it all the same."""


class Worker:
    """The tracking process: one for a process that trains, whatever number of runs it makes."""

    def __init__(self) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlpframe.tracking.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # a Ctrl-C is for the training process, which then says what to record
        )
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._used = False
        self._sender = threading.Thread(target=self._send_all, name="tracking", daemon=True)
        self._sender.start()

    def _send_all(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            while (line := self._outbox.get()) is not None:
                pipe.write(line)
                if self._outbox.empty():
                    pipe.flush()
            pipe.close()
        except OSError:
            pass  # the worker is gone; ``ask`` says so

    def send(self, run: Path, message: Message) -> None:
        """Hand over a message about the run in a folder; returns at once."""
        self._used = True
        self._outbox.put(encode(run, message))

    def ask(self, run: Path, message: Message) -> dict[str, Any]:
        """Send a message and wait for its answer.

        Raises:
            TrackingError: the worker could not carry it out, or the worker has ended.
        """
        self.send(run, message)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            last = self._log.read().decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise TrackingError(f"the tracking process ended: {last[0]}")
        answer: dict[str, Any] = json.loads(line)
        if answer.get("error"):
            raise TrackingError(answer["error"])
        return answer

    def close(self) -> None:
        """Let the worker finish what it was sent, and end; at once if it was sent nothing."""
        if self._used:
            self._outbox.put(None)
        else:
            self._process.kill()
        self._process.wait()


_worker: Worker | None = None


def worker() -> Worker:
    """This process's tracking process, started when first asked for."""
    global _worker
    if _worker is None:
        _worker = Worker()
        atexit.register(_worker.close)
    return _worker


class RunTracker(Protocol):
    """Where a run is recorded."""

    def start(self, message: Start) -> None: ...

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None: ...

    def end(self, message: End) -> dict[str, Any]: ...


class NoTracker:
    """Records nothing: ``tracking=none``."""

    def start(self, message: Start) -> None: ...

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None: ...

    def end(self, message: End) -> dict[str, Any]:
        return {}


class MLflowTracker:
    """Records one run in MLflow.

    Args:
        folder: the run's folder; everything but metrics is taken from the files in it.
    """

    def __init__(self, folder: Path) -> None:
        self._run = folder
        self._pending: list[tuple[str, float, int, int]] = []
        self._sent = time.monotonic()

    def start(self, message: Start) -> None:
        """Begin an MLflow run, or continue one."""
        worker().send(self._run, message)

    def run_id(self) -> str:
        """The id of the MLflow run; waits until the run exists."""
        answer: str = worker().ask(self._run, AskId())["run_id"]
        return answer

    def discard(self) -> None:
        """Delete the run, because the sweep that it stands for never started."""
        worker().send(self._run, Discard())

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record values at a number of updates; NaN and infinity stay out (MLflow's pages break)."""
        now = time.time_ns() // 1_000_000
        self._pending += [(name, value, now, step) for name, value in values.items() if isfinite(value)]
        if len(self._pending) >= PENDING or time.monotonic() - self._sent > PENDING_SECONDS:
            self._send_pending()

    def _send_pending(self) -> None:
        self._sent = time.monotonic()
        if self._pending:
            worker().send(self._run, Metrics(self._pending))
            self._pending = []

    def end(self, message: End) -> dict[str, Any]:
        """Record what is left and end the run; returns the run's id, its experiment's id and the store.

        Raises:
            TrackingError: something could not be recorded.
        """
        self._send_pending()
        return worker().ask(self._run, message)
