"""A run's folder: its files, the lock of the process that works in it, and the run's record."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
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
MLFLOW = "mlflow.json"
"""Where MLflow has recorded the run: the store's address, and the ids of run and experiment."""
CONFIG = "config/config.yaml"
CHECKPOINT = "checkpoints/last.npz"
MODEL = "model/model.npz"
UNRECORDED = ("tracking", "tags", "resume", "run_name", "register")
"""Settings that only say how a run is recorded. They are not parameters of the run in MLflow."""


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
        with suppress(OSError):  # rmdir fails for a folder that is not empty, and the folder stays
            for path in new:
                path.rmdir()

    def busy(self) -> bool:
        """Whether a process is running in this folder."""
        if not (self.path / LOCK).exists():
            return False
        try:
            with FileLock(self.path / LOCK, timeout=0):
                return False
        except Timeout:
            return True
        except OSError:  # this user may not write to the folder, so no process of this user runs in it
            return False

    def write(self, **values: Any) -> None:
        """Set values of the run's record. The file is replaced as a whole."""
        record = {"format": FORMAT, **self.read(), **values}
        part = self.path / f".{RECORD}.{os.getpid()}"
        part.write_text(json.dumps(record, indent=1))
        part.replace(self.path / RECORD)

    def read(self) -> dict[str, Any]:
        """The run's record; empty if there is none.

        Raises:
            UsageError: the record is damaged, or a newer version of mlpframe wrote the record.
        """
        file = self.path / RECORD
        record = _read_object(file)
        if record is None:
            return {}
        check_format(file, record.get("format", 0))
        for key, holds in EXPECTED.items():
            if key in REQUIRED or key in record:
                _refuse_unless(holds(record.get(key)), file, f"{key} is {record.get(key)!r}"[:80])
        return record

    def mlflow(self) -> dict[str, str]:
        """The run's id and experiment in MLflow, and the address of the store; empty without MLflow.

        Raises:
            UsageError: the file with the ids is damaged.
        """
        file = self.path / MLFLOW
        entry = _read_object(file)
        if entry is None:
            return {}
        for key in ("run_id", "uri"):
            _refuse_unless(isinstance(entry.get(key), str), file, f"{key} is {entry.get(key)!r}"[:80])
        return entry

    def mlflow_run(self) -> str | None:
        """The id of the run in MLflow, if it has one."""
        return self.mlflow().get("run_id")

    def config(self) -> dict[str, Any]:
        """The run's configuration, as the run recorded it; empty if the run has recorded none.

        Raises:
            UsageError: the file is damaged.
        """
        import yaml  # type: ignore[import-untyped]

        file = self.path / CONFIG
        try:
            content = yaml.safe_load(file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, AttributeError, RecursionError, yaml.YAMLError) as error:
            raise UsageError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error
        _refuse_unless(isinstance(content, dict), file, "it holds no configuration")
        return dict(content)

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

    @property
    def model(self) -> Path:
        return self.path / MODEL

    @property
    def encoded(self) -> Path:
        """The folder of encoded inputs that do not fit into memory. It exists while the run trains."""
        return self.path / "encoded"


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_metrics(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(number, int | float) for number in value.values())


LATEST = 1e11
"""A later start of a run, in seconds since 1970, is refused, because a date cannot have a year above 9999."""
EXPECTED: dict[str, Callable[[object], bool]] = {
    "status": lambda value: isinstance(value, str),
    "overrides": _is_list_of_text,
    "metrics": _is_metrics,
    "started": lambda value: isinstance(value, int | float) and 0 <= value < LATEST,
    "data": lambda value: isinstance(value, dict),
    "versions": lambda value: isinstance(value, dict),
}
"""For each key of a run's record, a function that tells whether a value is valid."""
REQUIRED = ("status", "overrides")
"""The keys that every record has."""


def _read_object(file: Path) -> dict[str, Any] | None:
    """The JSON object in a file; ``None`` if there is no file."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # ValueError: the file is not JSON, or not UTF-8
        raise UsageError(f"{file} is damaged: {error}") from error
    _refuse_unless(isinstance(content, dict), file, "it holds no JSON object")
    return dict(content)


def _refuse_unless(sound: bool, file: Path, why: str) -> None:
    if not sound:
        raise UsageError(f"{file} is damaged: {why}")
