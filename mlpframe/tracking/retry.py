"""Calling a store that others write to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOCKED_SECONDS = 600.0
"""How long a database that others write to is waited for: on a busy machine they take their time."""

PASSING = ("locked", "locking protocol", "disk I/O error")
"""What SQLite says of a database that others write to at this moment."""


def persistently(call: Callable[[], T], *, refused_seconds: float = 0.0) -> T:
    """Call the store again and again while others write to its database.

    Args:
        call: what asks or tells the store.
        refused_seconds: how long the call is repeated after any other error.
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
