"""Finding the folder of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..api import UsageError
from ..outputs import OUTPUTS
from .folder import RECORD, RunFolder


def find_folder(resume: str, overrides: Sequence[str]) -> RunFolder | None:
    """The folder of the run that ``resume`` names; ``None`` if ``auto`` finds no run.

    Args:
        resume: a run's folder or checkpoint; an MLflow run id, or the beginning of one; or ``auto``, which
            names the newest unfinished run with the same overrides.
        overrides: the overrides of this command.

    Raises:
        UsageError: there is no such run, or the run left no checkpoint to continue from.
    """
    folders = [RunFolder(file.parent) for file in sorted(OUTPUTS.glob(f"runs/*/*/{RECORD}"))]
    folders += [RunFolder(file.parent) for file in sorted(OUTPUTS.glob(f"sweeps/*/*/*/{RECORD}"))]
    if resume == "auto":
        for folder in sorted(folders, key=lambda folder: folder.path.stat().st_mtime, reverse=True):
            record = folder.read()
            unfinished = record.get("status") in ("running", "interrupted", "failed")
            if (
                unfinished
                and record["overrides"] == list(overrides)
                and folder.checkpoint.exists()
                and not folder.busy()
            ):
                return folder
        return None
    path = Path(resume)
    if path.suffix == ".npz":
        path = path.parent.parent
    matches = [RunFolder(path)] if path.is_dir() else []
    matches = matches or [folder for folder in folders if (folder.mlflow_run() or "").startswith(resume)]
    if len(matches) != 1:
        number = f"{len(matches)} runs have" if matches else "no run has"
        raise UsageError(
            f"resume={resume}: {number} this id or folder under {OUTPUTS}/; "
            "expected a run's folder, its MLflow run id, or auto"
        )
    if not matches[0].checkpoint.exists():
        raise UsageError(f"resume={resume}: {matches[0].path} has no checkpoint to continue from")
    return matches[0]
