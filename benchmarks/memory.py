"""``python -m benchmarks memory``: training on data that are larger than memory, from a mapped file."""

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
PART = 65_536  # number of rows that are written at once
PROC = Path("/proc")
"""Linux's folder with the memory of each process. On other systems the command ``ps`` tells the memory."""


@click.command()
@click.option("--gigabytes", default=8.0, show_default=True, help="Size of the file of float32 inputs.")
@click.option(
    "--folder",
    type=click.Path(exists=True, path_type=Path),
    help="Folder for the file. The file is deleted at the end.",
)
def memory(gigabytes: float, folder: Path | None) -> None:
    """Train one epoch on a file of inputs, and report the largest resident memory."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        rows = _write_data(Path(scratch), gigabytes)
        seconds, resident = _train(Path(scratch))
    table = Table(
        f"{gigabytes:g} GB of float32, {rows:,} rows of {FEATURES}, one epoch in shuffled batches of 256",
        ("file GB", "resident GB at most", "training s", "rows a second"),
        [(f"{gigabytes:g}", f"{resident:.2f}", f"{seconds:.0f}", f"{0.9 * rows / seconds:,.0f}")],
    )
    table.show()
    text = "`dataset=npy`: the file is mapped and shuffled in blocks. Memory is released after reading."
    write("memory", "Data larger than memory", text, [table])


def _write_data(folder: Path, gigabytes: float) -> int:
    """Write ``x.npy``, and ``y.npy`` with classes that depend on the inputs. Returns the number of rows."""
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
    """Train in a new process. Returns the seconds of training and the largest resident gigabytes."""
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
    """Resident memory of a process in gigabytes, including pages of mapped files."""
    try:
        if PROC.exists():
            words = (PROC / str(pid) / "status").read_text().partition("VmRSS:")[2].split()
        else:
            ps = ["ps", "-o", "rss=", "-p", str(pid)]
            words = subprocess.run(ps, capture_output=True, text=True, check=False).stdout.split()
    except OSError:  # the process has already ended
        return 0.0
    return int(words[0]) * 1024 / 1e9 if words else 0.0
