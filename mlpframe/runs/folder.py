"""A run's folder: its files, the lock of the process that works in it, and the run's record."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..api import UsageError
from ..training.checkpoint import FORMAT, check_format

STATUS = {"finished": "FINISHED", "diverged": "FAILED", "failed": "FAILED", "interrupted": "KILLED"}
"""Maps mlpframe's word for how a run ended to MLflow's word."""
LOCK = "run.lock"
RECORD = "run.json"
"""Status, overrides and results of a run, as the command line shows them."""


class RunFolder:
    """The folder of one run, locked while a process works in it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock = FileLock(self.path / LOCK, timeout=0)

    def acquire(self) -> None:
        """Make the folder and lock it. The lock is released when the process ends, even if it crashes.

        Raises:
            UsageError: the folder cannot be written, or another process is running in it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise UsageError(f"the run in {self.path} is still running in another process") from None
        except OSError as error:
            raise UsageError(f"the run's folder {self.path} cannot be written: {error.strerror}") from error

    def release(self) -> None:
        self._lock.release()

    def remove_if_unused(self, new: Sequence[Path]) -> None:
        """Delete the folders ``new``, innermost first, if no run was started in this folder."""
        if any(file.name != LOCK for file in self.path.glob("*")):
            return
        (self.path / LOCK).unlink(missing_ok=True)
        with suppress(OSError):  # a folder that is not empty stays
            for path in new:
                path.rmdir()

    def busy(self) -> bool:
        """Whether a process is running in this folder."""
        try:
            with FileLock(self.path / LOCK, timeout=0):
                return False
        except Timeout:
            return True

    def write(self, **values: Any) -> None:
        """Set values of the run's record. The file is replaced as a whole."""
        record = {"format": FORMAT, **self.read(), **values}
        part = self.path / f".{RECORD}.{os.getpid()}"
        part.write_text(json.dumps(record, indent=1))
        part.replace(self.path / RECORD)

    def read(self) -> dict[str, Any]:
        """The run's record; empty if there is none.

        Raises:
            UsageError: a newer version of mlpframe wrote the record.
        """
        file = self.path / RECORD
        record: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        check_format(file, record.get("format", 0))
        return record

    def mlflow_run(self) -> str | None:
        """The id of the run in MLflow, if it has one."""
        file = self.path / "mlflow.json"
        return json.loads(file.read_text())["run_id"] if file.exists() else None

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoints" / "last.npz"
