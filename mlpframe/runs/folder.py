"""A run's folder: its files, the lock of the process that works in it, and the run's record."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..api import UsageError
from ..files import remove_parts, write_text
from ..outputs import store_exists, store_uri
from ..training.checkpoint import FORMAT, check_format

STATUS = {
    "finished": "FINISHED",
    "diverged": "FAILED",
    "failed": "FAILED",
    "interrupted": "KILLED",
    "killed": "KILLED",
}
"""Maps mlpframe's word for how a run ended to MLflow's word."""
LOCK = "run.lock"
LOCK_SECONDS = 1.0
"""How long to wait for the lock. A process that looks whether the folder is locked holds it for a moment."""
TRACKING_LOCK = "mlflow.lock"
"""The lock of the tracking process while it records the run."""
RECORD = "run.json"
"""Status, overrides and results of a run, as the command line shows them."""
SWEEP = "sweep.json"
"""The record of a sweep, in the folder that holds the folders of the sweep's runs."""
MLFLOW = "mlflow.json"
"""Where MLflow has recorded the run: the store's address, and the ids of run and experiment."""
CONFIG = "config/config.yaml"
OVERRIDES = "config/overrides.yaml"
UNDERSTOOD = "data/understood.md"
CHECKPOINT = "checkpoints/last.npz"
MODEL = "model/model.npz"
UNRECORDED = ("tracking", "tags", "resume", "run_name", "register")
"""Settings that only say how a run is recorded. They are not parameters of the run in MLflow."""


WRITTEN_BEFORE_RECORD = (CONFIG, OVERRIDES, UNDERSTOOD, LOCK)
"""The files that a run writes before its record."""


class RunFolder:
    """The folder of one run or of one sweep, locked while a process works in it.

    Args:
        path: the folder, which need not exist yet.
        record: the name of the record: ``RECORD`` for a run, ``SWEEP`` for a sweep.
    """

    def __init__(self, path: Path, record: str = RECORD) -> None:
        self.path = path.resolve()
        self.record = self.path / record
        self._lock = FileLock(self.path / LOCK, timeout=LOCK_SECONDS)

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
        """Delete the folders ``new``, innermost first, if no run was started in this folder.

        Files that no run has written stay, and so do the folders that hold them.
        """
        if self.record.exists():
            return
        for name in WRITTEN_BEFORE_RECORD:
            (self.path / name).unlink(missing_ok=True)
        for path in (self.path / "config", self.path / "data", *new):
            with suppress(OSError):  # a folder that is not empty stays
                path.rmdir()

    def busy(self) -> bool:
        """Whether a process is running in this folder."""
        return _is_locked(self.path / LOCK)

    def being_recorded(self) -> bool:
        """Whether a tracking process is recording this run; it may outlive the process that trains."""
        return _is_locked(self.path / TRACKING_LOCK)

    def write(self, **values: Any) -> None:
        """Set values of the record. The file is replaced as a whole."""
        write_text(self.record, json.dumps({"format": FORMAT, **self.read(), **values}, indent=1))

    def settled(self) -> dict[str, Any]:
        """The record, after a process that was killed has been noticed.

        A run with the status ``running`` whose lock nobody holds is recorded as ``killed``, here and in the
        user's MLflow store. If the files cannot be changed, only the returned record says ``killed``.

        Raises:
            UsageError: as ``read``.
        """
        record = self.read()
        if record.get("status") != "running" or self.busy():
            return record
        # A tracking process that still records the run tells MLflow itself; the next look goes on here.
        if not self.being_recorded():
            with suppress(UsageError, OSError):
                self._record_kill()
        return {**record, "status": "killed"}

    def _record_kill(self) -> None:
        self.acquire()
        try:
            if self.read().get("status") != "running":  # another process was faster
                return
            with suppress(UsageError):  # the id is damaged
                self._tell_tracker()
            self.write(status="killed")
            shutil.rmtree(self.encoded, ignore_errors=True)
            for folder in {self.path, *((self.path / file).parent for file in (CONFIG, CHECKPOINT, MODEL))}:
                if not folder.is_symlink():
                    remove_parts(folder)
        finally:
            self.release()

    def _tell_tracker(self) -> None:
        """Mark the run as killed in the user's store. Another store that the folder names is left alone."""
        entry = self.mlflow()
        if entry and entry["uri"] == store_uri(None) and store_exists(entry["uri"]):
            from ..tracking.killed import mark_killed  # imports MLflow

            if reason := mark_killed(entry["uri"], entry["run_id"]):
                line = f"MLflow was not told that the run in {self.path} was killed: {reason}"
                print(line, file=sys.stderr)

    def read(self) -> dict[str, Any]:
        """The run's record; empty if there is none.

        Raises:
            UsageError: the record is damaged, or a newer version of mlpframe wrote the record.
        """
        file = self.record
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


def _is_locked(file: Path) -> bool:
    if not file.exists():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # somebody else's folder: a process of ours cannot be in it
        return False


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
