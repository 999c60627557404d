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


def persistently(call: Callable[[], T]) -> T:
    """Call the store; while others who write to its database are in the way, again and again."""
    give_up = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            return call()
        except Exception as error:
            passing = any(words in str(error) for words in PASSING)
            if not passing or time.monotonic() > give_up:
                raise
            time.sleep(0.5)
