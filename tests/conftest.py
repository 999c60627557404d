"""Settings for the whole test session."""

from __future__ import annotations

import pytest
from threadpoolctl import threadpool_limits


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # pytest-xdist runs one process for each processor
        threadpool_limits(1, user_api="blas")
