"""``mlpframe serve``: MLflow's server for the model of a run."""

from __future__ import annotations

import os
import sys

import click

from ..runs.finding import recorded_model
from ..runs.server import run_server


@click.command("serve")
@click.argument("run")
@click.option("--port", default=5001, show_default=True, help="Port on 127.0.0.1.")
def serve(run: str, port: int) -> int:
    """Serve the model of RUN over HTTP with MLflow's server, to programs on this machine. Ctrl-C ends it.

    A program posts rows as JSON to /invocations, for example
    {"dataframe_records": [{"size": 3.5, "color": "red"}]}, and gets predictions. MLflow's documentation on
    local inference servers describes other formats of rows.
    """
    model, store = recorded_model(run)
    click.echo(f"{model} in {store}\nhttp://127.0.0.1:{port}/invocations  (Ctrl-C stops the server)")
    arguments = ["models", "serve", "--model-uri", model, "--env-manager", "local"]
    # MLflow's server starts the first `python` on the PATH, which must be the Python of this process.
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    environment = {"MLFLOW_TRACKING_URI": store, "PATH": path}
    return run_server([*arguments, "--host", "127.0.0.1", "--port", str(port)], environment)
