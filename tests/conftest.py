"""What holds for the whole test session."""

from __future__ import annotations

import pytest
from threadpoolctl import threadpool_limits


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # one of pytest-xdist's processes, of which each has a processor
        threadpool_limits(1, user_api="blas")
