"""Environment variables that MLflow reads when it is imported."""

from __future__ import annotations

import os

DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # MLflow's default, 7, would wait four minutes
}
"""The values that mlpframe gives to environment variables of MLflow that the user has not set."""


def set_defaults() -> None:
    """Set the variables of ``DEFAULTS`` that are not set. Call this function before MLflow is imported."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
