"""``python -m benchmarks command``: time whole commands, to see what tracking and start-up cost."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click
from matplotlib.figure import Figure

from .contenders import installed
from .timing import Times, interleaved, repeated
from .writing import Table, write

TRACKING = ("784-300-10 with tracking", "784-300-10 without")
MISTYPED, RUN = "mlpframe lrr=1", "mlpframe tracking=none epochs=1"
START_UP = {
    "import mlpframe": ["-c", "import mlpframe"],
    **{name: ["-m", *name.split()] for name in ("mlpframe --help", MISTYPED, "mlpframe list", RUN)},
    **{
        f"import {module}": ["-c", f"import {module}"]
        for module in ("torch", "jax", "sklearn.neural_network")
        if installed(module.partition(".")[0])
    },
}


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Rounds in which all commands take turns.")
@click.option("--epochs", default=5, show_default=True, help="Epochs of the runs with and without tracking.")
def command(rounds: int, epochs: int) -> None:
    """Time `python -m mlpframe` on MNIST: tracking ÷ no tracking, start-up, everything except training."""
    with tempfile.TemporaryDirectory() as folder:
        training, around = _runs(Path(folder), rounds, epochs)
        commands = {name: repeated(partial(_start, Path(folder), name)) for name in START_UP}
        start_up = interleaved(commands, rounds=rounds)
    runs = Table(
        "Runs on MNIST",
        ("run", "training s", "other s"),
        [(name, f"{training.median(name):.2f}", f"{around.median(name):.2f}") for name in training.seconds],
    )
    starts = Table(
        "Start-up",
        ("command", "s", f"{RUN} ÷"),
        [(name, f"{start_up.median(name):.2f}", f"{start_up.ratio(RUN, name):.2f}") for name in START_UP],
    )
    text = (
        f"784-300-10, epochs={epochs}: training with tracking ÷ without: {training.ratio(*TRACKING):.3f}.\n"
        "With an existing store, everything except training should take 4 s at most."
    )
    for table in (runs, starts):
        table.show()
    click.echo(text)
    write("command", "The whole command", text, [runs, starts], _bars(start_up))


def run_python(
    folder: Path,
    *arguments: str,
    status: int = 0,
    python: Path | str = sys.executable,
    environment: Mapping[str, str] | None = None,
) -> float:
    """Run Python in a folder. Returns the seconds that the process takes.

    Args:
        folder: the working directory.
        arguments: the arguments after ``python``.
        status: the expected exit status.
        python: the interpreter.
        environment: the environment variables; ``None``: the variables of this process.

    Raises:
        click.ClickException: the process ended with another status.
    """
    began = time.perf_counter()
    done = subprocess.run(
        [python, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode != status:
        raise click.ClickException(f"python {' '.join(arguments)}: {done.stderr.strip()}")
    return seconds


def _runs(folder: Path, rounds: int, epochs: int) -> tuple[Times, Times]:
    """Time whole runs. Returns the seconds between first and last step, and the command's other seconds."""
    sized = ["model.hidden=[300]", "model.activation=sigmoid", "batch_size=50", f"epochs={epochs}"]
    runs = {
        TRACKING[0]: ["dataset=mnist", *sized],
        TRACKING[1]: ["dataset=mnist", *sized, "tracking=none"],
        **{name: name.split() for name in ("dataset=mnist epochs=1", "experiment=mnist epochs=1")},
    }
    training: dict[str, list[float]] = {name: [] for name in runs}
    around: dict[str, list[float]] = {name: [] for name in runs}
    run_python(folder, "-m", "mlpframe", "epochs=1")  # creates MLflow's store
    for _ in range(rounds):
        for name, overrides in runs.items():
            whole = run_python(folder, "-m", "mlpframe", *overrides)
            newest = max(folder.glob("outputs/runs/*/*/run.json"), key=lambda file: file.stat().st_mtime)
            training[name].append(json.loads(newest.read_text())["seconds"])
            around[name].append(whole - training[name][-1])
    return Times(training), Times(around)


def _start(folder: Path, name: str) -> float:
    return run_python(folder, *START_UP[name], status=2 if name == MISTYPED else 0)


def _bars(start_up: Times) -> Figure:
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(start_up.seconds), [start_up.median(name) for name in start_up.seconds], color="0.5")
    axes.set(xlabel="seconds", title="Start-up")
    axes.invert_yaxis()
    return figure
