"""``mlpframe ui``: show the store in MLflow's web pages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

import click

from ..outputs import OUTPUTS, store_uri
from ..runs.signals import on_signal


@click.command("ui")
@click.option("--port", default=5000, show_default=True, help="Port on 127.0.0.1.")
@click.option(
    "--uri", default=None, help="MLflow store; default: MLFLOW_TRACKING_URI, else outputs/mlflow.db."
)
def ui(port: int, uri: str | None) -> int:
    """Show the runs in MLflow's web pages. Only this machine can open them. Ctrl-C ends the server."""
    store = store_uri(uri)
    OUTPUTS.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", store]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    click.echo(f"{store}\nhttp://127.0.0.1:{port}  (Ctrl-C stops the server)")
    servers: list[subprocess.Popen[bytes]] = []

    def stop(_: int = signal.SIGTERM) -> None:  # MLflow's processes do not forward signals to each other
        for server in servers:
            with suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(server.pid, signal.SIGTERM)
                else:
                    server.terminate()

    with on_signal(stop):
        server = subprocess.Popen(command, env=environment, start_new_session=True)
        servers.append(server)
        server.wait()
        stop()
    return 0 if server.returncode in (0, -signal.SIGTERM) else 1
