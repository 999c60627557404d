"""Call a store that other processes write to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOCKED_SECONDS = 600.0
"""How long to wait for a database that other processes write to. On a busy machine, they write slowly."""

PASSING = ("locked", "locking protocol", "disk I/O error")
"""Texts in SQLite's error messages about a database that another process is writing to."""


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
