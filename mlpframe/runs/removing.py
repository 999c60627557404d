"""Remove a run: its folder, and its entry in MLflow."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..api import UsageError
from ..outputs import OUTPUTS, store_exists
from .finding import PLACES
from .folder import RunFolder

if TYPE_CHECKING:
    from ..tracking.deleting import StoredEntry


class Removal:
    """A run that may be removed. The constructor checks this, and only ``carry_out`` removes the run.

    Args:
        folder: the run's folder; its record may be damaged.

    Raises:
        UsageError: the folder is not where mlpframe keeps runs, the run is still running, its MLflow store
            cannot be read, or its model is registered.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.mlflow_id: str | None = None
        self._entry: StoredEntry | None = None
        self._without_entry = ""
        _refuse_elsewhere(folder.path)
        if folder.busy() or folder.being_recorded():
            raise UsageError(f"the run in {folder.path} is still running")
        self._find_entry()

    def _find_entry(self) -> None:
        try:
            mlflow = self.folder.mlflow()
        except UsageError as error:
            self._without_entry = f"nothing was deleted in MLflow: {error}"
            return
        if not mlflow:
            return
        self.mlflow_id = mlflow["run_id"]
        if not store_exists(mlflow["uri"]):
            self._without_entry = f"nothing was deleted in MLflow: there is no store {mlflow['uri']}"
            return
        from ..tracking.deleting import StoredEntry  # imports MLflow

        self._entry = StoredEntry(mlflow["uri"], mlflow["run_id"])

    def carry_out(self) -> list[str]:
        """Remove the run. Returns a line for each thing that was removed or that could not be removed.

        Raises:
            UsageError: the run is running again, or MLflow refused the removal. The folder is then kept.
        """
        self.folder.acquire()
        try:
            done = self._entry.delete(OUTPUTS) if self._entry else [self._without_entry]
            shutil.rmtree(self.folder.path)
        finally:
            self.folder.release()
        with suppress(OSError):  # rmdir fails unless this was the last run in the folder of its day
            self.folder.path.parent.rmdir()
        return [f"removed {os.path.relpath(self.folder.path)}", *filter(None, done)]


def _refuse_elsewhere(path: Path) -> None:
    """Refuse a folder that is not where mlpframe keeps runs. ``path`` must be resolved, without links."""
    outputs = OUTPUTS.resolve()
    parts = path.relative_to(outputs).parts if path.is_relative_to(outputs) else ()
    for place in PLACES.values():
        pattern = place.split("/")
        if len(parts) == len(pattern) and all(
            p in ("*", part) for p, part in zip(pattern, parts, strict=True)
        ):
            return
    places = ", ".join(f"{OUTPUTS}/{place}" for place in PLACES.values())
    raise UsageError(f"{path} is not removed: only the folders of runs in {places} are")
