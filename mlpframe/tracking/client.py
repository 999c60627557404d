"""Send messages from the training process to the process that calls MLflow.

Training never waits for MLflow: a thread writes the messages to the worker's pipe. If the training process
dies, the worker sees that the pipe is closed. It then records the messages that have arrived, and marks the
run as killed.
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
"""At most this many metric values are sent in one message. A message is sent earlier after half a second."""
PENDING_SECONDS = 0.5


class TrackingError(Exception):
    """The tracking process could not record something. The run's folder still holds all results."""


class Worker:
    """The tracking process. A process that trains has one tracking process for all of its runs."""

    def __init__(self) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlpframe.tracking.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C reaches only the training process, which then tells the worker
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
            pass  # the worker has ended, and ``ask`` raises an error for this

    def send(self, run: Path, message: Message) -> None:
        """Queue a message about the run in the folder ``run``, without waiting for the worker."""
        self._used = True
        self._outbox.put(encode(run, message))

    def ask(self, run: Path, message: Message) -> dict[str, Any]:
        """Send a message and wait for the answer.

        Raises:
            TrackingError: the worker could not do what the message asks, or the worker has ended.
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
        """End the worker after it has handled its messages. A worker without messages ends at once."""
        if self._used:
            self._outbox.put(None)
        else:
            self._process.kill()
        self._process.wait()


_worker: Worker | None = None


def worker() -> Worker:
    """The tracking process that works for this process. The first call starts the tracking process."""
    global _worker
    if _worker is None:
        _worker = Worker()
        atexit.register(_worker.close)
    return _worker


class RunTracker(Protocol):
    """Records a run."""

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
        folder: the run's folder. The worker reads everything but the metrics from its files.
    """

    def __init__(self, folder: Path) -> None:
        self._run = folder
        self._pending: list[tuple[str, float, int, int]] = []
        self._sent = time.monotonic()

    def start(self, message: Start) -> None:
        """Begin an MLflow run, or continue one."""
        worker().send(self._run, message)

    def run_id(self) -> str:
        """The id of the MLflow run. Waits until the run exists."""
        answer: str = worker().ask(self._run, AskId())["run_id"]
        return answer

    def discard(self) -> None:
        """Delete the run, because the sweep that it stands for never started."""
        worker().send(self._run, Discard())

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record metric values after ``step`` updates. Skips NaN and infinity, which break MLflow's pages."""
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
        """Send the remaining values and end the run. Returns the ids of run and experiment, and the store.

        Raises:
            TrackingError: something could not be recorded.
        """
        self._send_pending()
        return worker().ask(self._run, message)
