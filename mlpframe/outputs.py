"""The folder for runs, the MLflow store and everything else that mlpframe writes."""

from __future__ import annotations

import os
from pathlib import Path

OUTPUTS = Path("outputs")


def store_uri(uri: str | None) -> str:
    """The URI of the MLflow store: ``uri``, else ``MLFLOW_TRACKING_URI``, else ``outputs/mlflow.db``."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(OUTPUTS / 'mlflow.db').resolve()}"
