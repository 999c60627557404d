"""The report's page: one HTML file that needs no other files."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import jinja2

from ... import __version__
from ...machine import processors
from .questions import sections
from .results import Results, Run

LOCAL_UI = "http://127.0.0.1:5000"
"""Where ``python -m mlpframe ui`` shows a store that is a database."""


def render(results: Results, *, judged: bool) -> str:
    """The whole page.

    Args:
        results: all runs of the plan.
        judged: whether the runs are the full experiments. Only their numbers are compared with the printed
            numbers; the small version of ``--quick`` gets no verdicts.
    """
    folder = Path(__file__).parent
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    runs = results.all
    return templates.get_template("page.html").render(
        judged=judged,
        sections=sections(results, judged=judged),
        environment=_environment(),
        served=any(_server(run) for run in runs),
        links=[(run, _link(run)) for run in runs],
    )


def _environment() -> dict[str, str]:
    packages = ("numpy", "scipy", "mlflow", "hydra-core")
    return {
        "mlpframe": __version__,
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
        "machine": f"{platform.system()} {platform.machine()}, {processors()} processors",
    }


def _server(run: Run) -> str | None:
    """The address of the MLflow server that recorded the run; ``None`` if no server did."""
    uri = str(run.recorded.get("uri", ""))
    return uri.rstrip("/") if uri.startswith(("http://", "https://")) else None


def _link(run: Run) -> str | None:
    if not run.recorded:
        return None
    base, ids = _server(run) or LOCAL_UI, run.recorded
    return f"{base}/#/experiments/{ids['experiment_id']}/runs/{ids['run_id']}"
