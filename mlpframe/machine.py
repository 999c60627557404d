"""The resources of the machine that this process may use."""

from __future__ import annotations

import os


def processors() -> int:
    """The number of processors that this process may use.

    If the system reports which processors the process is bound to, only these processors count; otherwise all
    processors count.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
