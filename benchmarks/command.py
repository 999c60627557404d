"""``python -m benchmarks command``: the whole command: what tracking costs, and what surrounds training."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console

MNIST = ["dataset=mnist", "model.hidden=[300]", "model.activation=sigmoid", "batch_size=50"]


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Pairs of runs with and without tracking.")
@click.option("--epochs", default=5, show_default=True)
def command(rounds: int, epochs: int) -> None:
    """Time `python -m mlpframe` on MNIST: with tracking ÷ without, start-up, and what is not training."""
    say = Console(highlight=False).print
    with tempfile.TemporaryDirectory() as folder:
        ratios, around, wholes = [], [], []
        _run(Path(folder), [*MNIST, "epochs=1"])  # makes the store
        for _ in range(rounds):
            with_tracking, whole = _run(Path(folder), [*MNIST, f"epochs={epochs}"])
            without, _ = _run(Path(folder), [*MNIST, f"epochs={epochs}", "tracking=none"])
            ratios.append(with_tracking / without)
            around.append(whole - with_tracking)
            wholes.append(whole)
        say(f"first to last step, with tracking ÷ without: {statistics.median(ratios):.3f}")
        say(f"whole command with {epochs} epochs: {statistics.median(wholes):.1f} s")
        say(f"of which not between first and last step: {statistics.median(around):.1f} s")
        for arguments in (["--help"], ["lrr=1"], ["list"]):
            seconds = [_seconds(Path(folder), arguments) for _ in range(rounds)]
            say(f"mlpframe {arguments[0]}: {statistics.median(seconds):.2f} s")


def _seconds(folder: Path, arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "mlpframe", *arguments], cwd=folder, capture_output=True, check=False
    )
    return time.perf_counter() - began


def _run(folder: Path, arguments: list[str]) -> tuple[float, float]:
    """Seconds between first and last step, and of the whole command."""
    seconds = _seconds(folder, arguments)
    newest = max(folder.glob("outputs/runs/*/*/run.json"), key=lambda file: file.stat().st_mtime)
    return json.loads(newest.read_text())["seconds"], seconds
