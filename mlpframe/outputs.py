"""The folder for runs, the MLflow store and everything else that mlpframe writes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

OUTPUTS = Path("outputs")
SQLITE = "sqlite:///"
"""The beginning of the address of a store in an SQLite file."""


def store_uri(uri: str | None) -> str:
    """The URI of the MLflow store: ``uri``, else ``MLFLOW_TRACKING_URI``, else ``outputs/mlflow.db``."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(OUTPUTS / 'mlflow.db').resolve()}"


def store_exists(uri: str) -> bool:
    """``False`` if the store is an SQLite file that does not exist, because MLflow would create the file."""
    return not uri.startswith(SQLITE) or Path(uri.removeprefix(SQLITE)).is_file()


def size(folder: Path) -> int:
    """The bytes of all files in a folder and its subfolders, without following links; 0 if it is missing."""
    total = 0
    for path, _, files in os.walk(folder):
        for file in files:
            with suppress(OSError):  # another process has removed the file in the meantime
                total += os.lstat(os.path.join(path, file)).st_size
    return total
