"""``mlpframe ui``: show the store in MLflow's web pages."""

from __future__ import annotations

import click

from ..outputs import OUTPUTS, store_uri
from ..runs.server import run_server


@click.command("ui")
@click.option("--port", default=5000, show_default=True, help="Port on 127.0.0.1.")
@click.option(
    "--uri", default=None, help="MLflow store; default: MLFLOW_TRACKING_URI, else outputs/mlflow.db."
)
def ui(port: int, uri: str | None) -> int:
    """Show the runs in MLflow's web pages. Only this machine can open them. Ctrl-C ends the server."""
    store = store_uri(uri)
    OUTPUTS.mkdir(exist_ok=True)
    click.echo(f"{store}\nhttp://127.0.0.1:{port}  (Ctrl-C stops the server)")
    arguments = ["ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return run_server(
        [*arguments, "--backend-store-uri", store], {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    )
