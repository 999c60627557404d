"""``python -m benchmarks memory``: data larger than memory: training from a mapped file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from .writing import Table, write

FEATURES = 1024
PART = 65_536  # rows written at a time
PROC = Path("/proc")
"""Where Linux says how much memory a process has; elsewhere ``ps`` does."""


@click.command()
@click.option("--gigabytes", default=8.0, show_default=True, help="Size of the file of inputs, float32.")
@click.option(
    "--folder", type=click.Path(exists=True, path_type=Path), help="Where it is written for a while."
)
def memory(gigabytes: float, folder: Path | None) -> None:
    """Train an epoch on a file of that size and report how much memory was resident at most."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        rows = _write_data(Path(scratch), gigabytes)
        seconds, resident = _train(Path(scratch))
    table = Table(
        f"{gigabytes:g} GB of float32, {rows:,} rows of {FEATURES}, one epoch in shuffled batches of 256",
        ("file GB", "resident GB at most", "training s", "rows a second"),
        [(f"{gigabytes:g}", f"{resident:.2f}", f"{seconds:.0f}", f"{0.9 * rows / seconds:,.0f}")],
    )
    table.show()
    text = "`dataset=npy`: the file is mapped, shuffled in blocks, and let go of as it is read."
    write("memory", "Data larger than memory", text, [table])


def _write_data(folder: Path, gigabytes: float) -> int:
    """``x.npy`` of that size and ``y.npy``, whose classes can be told from the inputs; returns the rows."""
    rows = int(gigabytes * 1e9 / 4 / FEATURES)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, rows)
    x = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=np.float32, shape=(rows, FEATURES))
    for start in range(0, rows, PART):
        part = rng.random((min(PART, rows - start), FEATURES), dtype=np.float32)
        part[np.arange(len(part)), y[start : start + len(part)]] += 1
        x[start : start + len(part)] = part
        x.flush()
    np.save(folder / "y.npy", y)
    return rows


def _train(folder: Path) -> tuple[float, float]:
    """Seconds of training, and gigabytes resident at most, of a process of its own."""
    data = ["dataset=npy", f"dataset.x={folder}/x.npy", f"dataset.y={folder}/y.npy"]
    options = ["model.hidden=[64]", "batch_size=256", "epochs=1", "tracking=none"]
    command = [sys.executable, "-m", "mlpframe", *data, *options]
    path = {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **path})
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _resident(process.pid))
        time.sleep(0.05)
    if process.returncode:
        raise click.ClickException("the run did not finish")
    (record,) = folder.glob("outputs/runs/*/*/run.json")
    return json.loads(record.read_text())["seconds"], peak


def _resident(pid: int) -> float:
    """Gigabytes a process has in memory, pages of mapped files included."""
    try:
        if PROC.exists():
            words = (PROC / str(pid) / "status").read_text().partition("VmRSS:")[2].split()
        else:
            ps = ["ps", "-o", "rss=", "-p", str(pid)]
            words = subprocess.run(ps, capture_output=True, text=True, check=False).stdout.split()
    except OSError:  # the process has just ended
        return 0.0
    return int(words[0]) * 1024 / 1e9 if words else 0.0
