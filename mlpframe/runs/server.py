"""Run one of MLflow's servers until it ends, or until a signal ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from .signals import on_signal


def run_server(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run ``python -m mlflow <arguments>``. Ctrl-C and SIGTERM end the server and all of its processes.

    Args:
        arguments: the command of MLflow.
        environment: variables in addition to those of this process.

    Returns:
        0 if the server was ended by a signal or ended by itself without an error, else 1.
    """
    command = [sys.executable, "-m", "mlflow", *arguments]
    servers: list[subprocess.Popen[bytes]] = []

    def stop(_: int = signal.SIGTERM) -> None:  # MLflow's processes do not forward signals to each other
        for server in servers:
            with suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(server.pid, signal.SIGTERM)
                else:
                    server.terminate()

    stopped: list[int] = []

    def stop_by_signal(number: int) -> None:
        stopped.append(number)
        stop()

    with on_signal(stop_by_signal):
        server = subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True)
        servers.append(server)
        if stopped:  # a signal came before the server was in the list, so ``stop`` did not end the server
            stop()
        server.wait()
        stop()
    return 0 if stopped or server.returncode in (0, -signal.SIGTERM) else 1
