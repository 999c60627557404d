"""Signals that ask a command to stop: one helper for all commands."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def on_signal(stop: Callable[[int], None], *, once: bool = False) -> Iterator[None]:
    """Inside the ``with`` statement, call ``stop`` with the number of each SIGINT (Ctrl-C) and SIGTERM.

    Python lets only the main thread handle signals. In any other thread, this function does nothing.

    Args:
        stop: called in the main thread, between two instructions of the code that runs there.
        once: a second signal of the same number ends the process immediately, without calling ``stop``.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _: FrameType | None) -> None:
        if once:
            signal.signal(number, signal.SIG_DFL)
        stop(number)

    before = {number: signal.signal(number, handle) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
