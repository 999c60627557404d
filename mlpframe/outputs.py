"""Where runs, the store and everything else that is written lies."""

from __future__ import annotations

import os
from pathlib import Path

OUTPUTS = Path("outputs")


def store_uri(uri: str | None) -> str:
    """The MLflow store: as given, else ``MLFLOW_TRACKING_URI``, else ``outputs/mlflow.db`` here."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(OUTPUTS / 'mlflow.db').resolve()}"
