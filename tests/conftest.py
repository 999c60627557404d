"""Settings for the whole test session."""

from __future__ import annotations

import signal

import pytest
from threadpoolctl import threadpool_limits


def pytest_configure(config: pytest.Config) -> None:
    # A command that a shell starts in the background ignores Ctrl-C, and so do the command's children.
    # Some tests send Ctrl-C to a child.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "workerinput"):  # pytest-xdist runs one process for each processor
        threadpool_limits(1, user_api="blas")
