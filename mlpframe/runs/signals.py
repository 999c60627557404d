"""Signals that ask a command to stop: one helper for all commands."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Ctrl-C, a request to end, and the end of the terminal."""


@contextmanager
def on_signal(stop: Callable[[int], None], *, once: bool = False) -> Iterator[None]:
    """Inside the ``with`` statement, call ``stop`` with the number of each signal in ``STOPPING``.

    A signal that was ignored stays ignored: ``nohup`` ignores SIGHUP, and a shell ignores SIGINT for a
    command that a script starts in the background. Python lets only the main thread handle signals. In any
    other thread, this function does nothing.

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
        _leave_closed_terminal()
        stop(number)

    before = {number: signal.signal(number, handle) for number in _heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_closed_terminal() -> None:
    """Let everything that is printed vanish if the terminal was closed. Printing would raise errors."""
    for stream in (1, 2):
        try:
            os.write(stream, b"")
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def _heeded() -> list[int]:
    return [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def signals_ignored() -> Iterator[None]:
    """Inside the ``with`` statement, the signals in ``STOPPING`` do nothing."""
    with on_signal(lambda _: None):
        yield


def ignore_signals() -> None:
    """Ignore the signals in ``STOPPING`` from now on."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def end_at_signals() -> None:
    """Make the signals in ``STOPPING`` end this process at once, where no ``on_signal`` handles them."""
    for number in _heeded():
        signal.signal(number, lambda number, _: end_process(number))


def end_process(number: int) -> None:
    """End this process at once because of a signal. For a process that has nothing to save or remove.

    Raising an exception instead would go wrong while a library is imported: Python ignores exceptions in some
    places, such as the functions that it calls when an object is deleted, and prints a traceback.
    """
    os._exit(128 + number)


def raise_exit(number: int) -> None:
    """Raise ``SystemExit`` with the status that stands for a signal, so that all ``finally`` clauses run."""
    raise SystemExit(128 + number)
