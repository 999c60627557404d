"""Repeat calls to an MLflow store whose database is locked by another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOCKED_SECONDS = 600.0
"""How long to wait for a locked database. On a busy machine, other processes take long to write to it."""

PASSING = ("locked", "locking protocol", "disk I/O error")
"""Texts in SQLite's error messages if another process is writing to the database. Such errors pass."""


def persistently(call: Callable[[], T], *, refused_seconds: float = 0.0) -> T:
    """Repeat a call to the store while other processes write to its database.

    Args:
        call: reads from the store or writes to it.
        refused_seconds: for how long the call is repeated after any other error.
    """
    began = time.monotonic()
    while True:
        try:
            return call()
        except Exception as error:
            locked = any(words in str(error) for words in PASSING)
            if time.monotonic() - began > (LOCKED_SECONDS if locked else refused_seconds):
                raise
            time.sleep(0.5)
