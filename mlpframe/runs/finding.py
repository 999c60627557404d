"""Find runs: all runs with a folder on this machine, or the run that a word on a command line names."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..api import UsageError
from ..outputs import OUTPUTS, store_exists, store_uri
from ..registry import nearest
from .folder import CHECKPOINT, MODEL, RECORD, SWEEP, RunFolder

PLACES = {"run": "runs/*/*", "sweep": "sweeps/*/*/*", "report": "report/*/runs/*"}
"""Where in ``outputs/`` the folders of runs are: a pattern for single runs, for the runs of sweeps, and for
the runs of the command ``report``."""
SHORTEST = 4
"""A run may be named by the beginning of its id if the beginning has at least this many letters."""
SHOWN = (8, 16, 32)
"""How many letters of an id are shown: the first of these numbers that tells the id from all others."""
ID = re.compile(f"[0-9a-f]{{{SHORTEST},32}}")
REGISTERED = re.compile(r"models:/[^/@]+(/[0-9]+|@[^/@]+)")


@dataclass(frozen=True)
class KnownRun:
    """A run on this machine.

    Args:
        folder: the run's folder.
        kind: whether a single command, a sweep or a report made the run, as a key of ``PLACES``.
        record: the run's record; empty if the record is damaged.
        mlflow_id: the id of the run in MLflow; ``None`` if the run has no readable id.
        damage: why the record or the id cannot be read; ``None`` if both can.
        started: when the run began, or when it was last continued, in seconds since 1970.
    """

    folder: RunFolder
    kind: str
    record: dict[str, Any]
    mlflow_id: str | None
    damage: str | None
    started: float

    @property
    def names(self) -> list[str]:
        """The name of the run's folder, alone and with the folder above it.

        The folder of a sweep's run is only a number, so its names have one more folder above.
        """
        parts = self.folder.path.parts
        return ["/".join(parts[-count:]) for count in ((1, 2) if self.kind == "run" else (2, 3))]

    @property
    def status(self) -> str:
        """How the run ended, ``running``, or ``damaged`` if its record is."""
        return self.record["status"] if self.record else "damaged"


def known_runs() -> list[KnownRun]:
    """All runs in ``outputs/``, newest first. A damaged record is reported in its run.

    Runs and sweeps whose process was killed are recorded as killed.
    """
    for file in OUTPUTS.glob(f"sweeps/*/*/{SWEEP}"):
        with suppress(UsageError):
            RunFolder(file.parent, SWEEP).settled()
    kinds = {
        RunFolder(file.parent).path: kind  # without links, so that a link to a folder adds no second run
        for kind, place in PLACES.items()
        for file in OUTPUTS.glob(f"{place}/{RECORD}")
    }
    runs = [_known(RunFolder(path), kind) for path, kind in kinds.items()]
    return sorted(runs, key=lambda run: (run.started, run.folder.path), reverse=True)


def _known(folder: RunFolder, kind: str) -> KnownRun:
    record: dict[str, Any] = {}
    mlflow_id = damage = None
    try:
        record = folder.settled()
    except UsageError as error:
        damage = str(error)
    try:
        mlflow_id = folder.mlflow_run()
    except UsageError as error:
        damage = damage or str(error)
    started = record.get("started")
    return KnownRun(folder, kind, record, mlflow_id, damage, started or _changed(folder.path / RECORD))


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # another process has removed the file
        return 0.0


def shown_ids(runs: Sequence[KnownRun]) -> dict[Path, str]:
    """For each run's folder, a short word that names only this run: the beginning of its id, or its name."""

    def words(run: KnownRun) -> list[str]:
        return [*(run.mlflow_id[:length] for length in SHOWN if run.mlflow_id), *run.names]

    counts = Counter(word for run in runs for word in set(words(run)))
    return {
        run.folder.path: next((word for word in words(run) if counts[word] == 1), str(run.folder.path))
        for run in runs
    }


def find_run(name: str, *, needs: str | None = None, uri: str | None = None) -> RunFolder:
    """The folder of the run that ``name`` names.

    If ``needs`` is ``MODEL`` and the run has no folder on this machine, the model is copied from the store
    into a temporary folder, which is deleted when this process ends.

    Args:
        name: the MLflow id of a run, or at least 4 letters of its beginning; a run's folder, or the name of
            the folder; ``latest``; or a registered model, ``models:/name/3`` or ``models:/name@alias``.
        needs: a file that the run must have, ``MODEL`` or ``CHECKPOINT``. ``latest`` skips runs without it.
        uri: the MLflow store to search for a run that is not on this machine; ``None``: the usual store.

    Raises:
        UsageError: there is no such run, several runs have the name, or the run is damaged or lacks the file.
    """
    if name.startswith("models:"):
        if not REGISTERED.fullmatch(name):
            raise UsageError(f"{name}: expected models:/<name>/<version> or models:/<name>@<alias>")
        if needs != MODEL:
            raise UsageError(f"{name}: expected a run's id or folder; a registered model is no run")
        return _fetched(name, uri)
    runs = known_runs()
    if name == "latest":
        return _latest(runs, needs)
    folder = _local(name, runs)
    if folder is None:
        if needs == MODEL and ID.fullmatch(name) and store_exists(store_uri(uri)):
            try:
                return _fetched(name, uri)
            except UsageError as error:
                raise UsageError(f"{error}; {_advice()}") from error
        raise _unknown(name, runs)
    try:
        record = folder.settled()
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
    if needs is not None and not (folder.path / needs).is_file():
        raise UsageError(f"{name}: {folder.path} {_lacks(needs)}; the run is {record['status']}")
    return folder


def find_model(name: str, uri: str | None = None) -> tuple[Path, RunFolder | None]:
    """The model file that ``name`` names, and the folder of the model's run if it is on this machine.

    Args:
        name: a name that ``find_run`` accepts, or the path of a model file.
        uri: the MLflow store to search for a run that is not on this machine; ``None``: the usual store.

    Raises:
        UsageError: there is no such run or file, or the run has no model.
    """
    path = Path(name)
    if path.is_file() and not (path.parent.parent / RECORD).is_file():
        return path, None
    folder = find_run(name, needs=MODEL, uri=uri)
    return folder.model, folder if (folder.path / RECORD).is_file() else None


def find_runs(name: str, *, needs: str) -> list[RunFolder]:
    """The runs of the sweep in the folder ``name`` that have the file ``needs``, or the run of that name.

    Raises:
        UsageError: there is no such run, or no run of the sweep has the file.
    """
    path = Path(name)
    jobs = [file.parent for file in path.glob(f"*/{RECORD}")] if not (path / RECORD).is_file() else []
    if not jobs:
        return [find_run(name, needs=needs)]
    folders = [RunFolder(job) for job in sorted(jobs, key=lambda job: (len(job.name), job.name))]
    for folder in folders:
        with suppress(UsageError):  # a damaged record stops no other run, and a model can do without it
            folder.settled()
    useful = [folder for folder in folders if (folder.path / needs).is_file()]
    if not useful:
        raise UsageError(f"{name}: {len(jobs)} runs, but each {_lacks(needs)}")
    return useful


def recorded_model(name: str) -> tuple[str, str]:
    """The address of a run's model in MLflow, and the address of the store. ``name`` names the run.

    Raises:
        UsageError: there is no such run, or MLflow has not recorded the run.
    """
    from ..tracking.reading import RunStore  # imports MLflow

    store = store_uri(None)
    if name.startswith("models:"):
        if not REGISTERED.fullmatch(name):
            raise UsageError(f"{name}: expected models:/<name>/<version> or models:/<name>@<alias>")
        RunStore(store).run_of_model(name)  # raises an error if the name is unknown
        return name, store
    runs = known_runs()
    folder = _latest(runs, MODEL) if name == "latest" else _local(name, runs)
    if folder is None:
        if not (ID.fullmatch(name) and store_exists(store)):
            raise _unknown(name, runs)
        return f"runs:/{RunStore(store).starting_with(name).id}/model", store
    if not folder.model.is_file():
        raise UsageError(f"{name}: {folder.path} {_lacks(MODEL)}")
    entry = folder.mlflow()
    if not entry:
        raise UsageError(
            f"{name}: MLflow has not recorded this run (tracking=none), so MLflow has no model of the run"
        )
    return f"runs:/{entry['run_id']}/model", entry["uri"]


def find_folder(name: str) -> RunFolder:
    """The folder on this machine that ``name`` names, even if its record is damaged.

    Raises:
        UsageError: there is no such run, or several runs have the name.
    """
    runs = known_runs()
    if name == "latest":
        return _latest(runs, None)
    folder = _local(name, runs)
    if folder is None:
        raise _unknown(name, runs)
    return folder


def find_unfinished(overrides: Sequence[str]) -> RunFolder | None:
    """The newest run with these overrides that has not finished and can be continued, if there is one."""
    for run in known_runs():
        unfinished = run.record.get("status") in ("killed", "interrupted", "failed")
        if (
            unfinished
            and run.damage is None
            and run.record["overrides"] == list(overrides)
            and run.folder.checkpoint.exists()
        ):
            return run.folder
    return None


def _latest(runs: Sequence[KnownRun], needs: str | None) -> RunFolder:
    for run in runs:
        if run.record and (needs is None or (run.folder.path / needs).is_file()):
            return run.folder
    missing = f": {len(runs)} runs, but each {_lacks(needs)}" if runs and needs else ""
    raise UsageError(f"latest: no such run under {OUTPUTS}/{missing}; {_advice()}")


def _local(name: str, runs: Sequence[KnownRun]) -> RunFolder | None:
    """The run on this machine that ``name`` names; ``None`` if there is none.

    Raises:
        UsageError: several runs have the name, or ``name`` is the folder of a sweep.
    """
    path = Path(name)
    if path.suffix == ".npz":  # the checkpoint or the model in a run's folder names the run
        path = path.parent.parent
    if os.path.isfile(path / RECORD):
        return RunFolder(path)
    parts = Path(name).parts

    def has_name(run: KnownRun) -> bool:
        return name == run.mlflow_id or (parts != () and run.folder.path.parts[-len(parts) :] == parts)

    same = [run for run in runs if has_name(run)]
    begins = [run for run in runs if ID.fullmatch(name) and (run.mlflow_id or "").startswith(name)]
    found = same or begins
    if len(found) > 1:
        ids = shown_ids(runs)
        known = [f"{ids[run.folder.path]} ({os.path.relpath(run.folder.path)})" for run in found[:4]]
        more = ", …" if len(found) > len(known) else ""
        raise UsageError(f"{name}: {len(found)} runs have this name or beginning: {', '.join(known)}{more}")
    if found:
        return found[0].folder
    if jobs := sorted(path.glob(f"*/{RECORD}")) if os.path.isdir(path) else []:
        raise UsageError(f"{name}: this folder holds runs, expected one of them, such as {jobs[0].parent}")
    return None


def _unknown(name: str, runs: Sequence[KnownRun]) -> UsageError:
    ids = shown_ids(runs)
    known = {*ids.values(), *(name for run in runs for name in run.names)}
    short = f"; an id has at least {SHORTEST} letters" if re.fullmatch("[0-9a-f]{1,3}", name) else ""
    similar = nearest(name, known) if runs else ""
    hint = f"; {similar}" if similar.startswith("nearest") else ""
    return UsageError(f"{name}: no run of that id or folder under {OUTPUTS}/{short}{hint}; {_advice()}")


def _advice() -> str:
    return "to list the runs: python -m mlpframe runs"


def _lacks(needs: str) -> str:
    what = {MODEL: "has no model", CHECKPOINT: "has no checkpoint to continue from"}
    return what[needs]


def _fetched(name: str, uri: str | None) -> RunFolder:
    """Copy the model of a run, or a registered model, from the store into a temporary folder."""
    from ..tracking.reading import fetch_model  # imports MLflow

    folder = Path(tempfile.mkdtemp(prefix="mlpframe-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    fetch_model(store_uri(uri), name, folder, to=folder / MODEL)
    return RunFolder(folder)
