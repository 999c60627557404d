"""``python -m benchmarks scaling``: how the cost grows with the size of the problem."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import contenders
from .command import run_python
from .contenders import Case
from .timing import Contender, apart, interleaved, repeated
from .writing import Table, label_plainly, write

EPOCHS: dict[str, dict[int, Case]] = {
    "training rows (784-300-10, batch 50)": {
        n: Case((784, 300, 10), 50, rows=n) for n in (2000, 4000, 8000, 16_000, 32_000)
    },
    "hidden units (784-units-10, batch 50, 2,000 rows)": {
        units: Case((784, units, 10), 50, rows=2000) for units in (32, 64, 128, 256, 512, 1024, 2048)
    },
    "hidden layers of 256 (256 inputs, batch 50, 2,000 rows)": {
        depth: Case((256, *[256] * depth, 10), 50, rows=2000) for depth in (1, 2, 4, 8, 16)
    },
    "rows of a batch (784-300-10, 4,096 rows)": {
        batch: Case((784, 300, 10), batch, rows=4096)
        for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
    },
}
"""For each quantity that grows, the case to train at each size. One epoch of each case is timed."""
SWEEP = "runs in a sweep (whole command)"
RUNS = (1, 2, 4, 8, 16)
RUN = ["dataset=synth", "dataset.num_train=2000", "dataset.num_val=500", "epochs=1", "tracking=none"]


@click.command()
@click.option(
    "--rounds",
    default=5,
    show_default=True,
    help="Rounds in which all points of a panel take turns.",
)
def scaling(rounds: int) -> None:
    """Time epochs for growing rows, width, depth and batch size, and sweeps of growing length."""
    apart(1, _measure, rounds)


def _measure(rounds: int) -> None:
    points: dict[str, dict[int, float]] = {}
    tables = []
    for name, cases in EPOCHS.items():
        points[name] = _medians({size: _epochs(case) for size, case in cases.items()}, rounds)
        tables.append(_table(name, points[name]))
    with tempfile.TemporaryDirectory() as folder:
        points[SWEEP] = _medians({runs: _sweep(Path(folder), runs) for runs in RUNS}, rounds)
        tables.append(_table(SWEEP, points[SWEEP]))
    rows = [(name, *(f"{_fit(part)[0]:.2f}" for part in _parts(times))) for name, times in points.items()]
    summary = Table("Exponents", ("what grows", "upper half", "whole range"), rows)
    summary.show()
    text = (
        "Time on one thread as a power of what grows: least squares through the logarithms of medians of\n"
        "interleaved rounds. The first four time epochs of the fastest exact engine on shuffled rows."
    )
    write("scaling", "How the cost grows", text, [summary, *tables], _figure(points))


def _epochs(case: Case) -> Contender:
    train, steps = contenders.mlpframe(case).run, case.rows // case.batch
    return Contender(lambda epochs: train(epochs * steps))


def _sweep(folder: Path, runs: int) -> Contender:
    return repeated(partial(run_python, folder, "-m", "mlpframe", "-m", f"seed=range({runs})", *RUN))


def _medians(present: Mapping[int, Contender], rounds: int) -> dict[int, float]:
    times = interleaved({str(size): contender for size, contender in present.items()}, rounds=rounds)
    return {size: times.median(str(size)) for size in present}


def _table(name: str, times: Mapping[int, float]) -> Table:
    rows = [(f"{size:,}", f"{seconds * 1e3:.1f}") for size, seconds in times.items()]
    table = Table(name, (name.partition(" (")[0], "ms"), rows)
    table.show()
    return table


def _parts(times: Mapping[int, float]) -> tuple[dict[int, float], dict[int, float]]:
    """The measurements of the larger half of the sizes, and the measurements of all sizes."""
    return dict(list(times.items())[len(times) // 2 :]), dict(times)


def _fit(times: Mapping[int, float]) -> tuple[float, float]:
    """Fit a power law, seconds = factor · size^exponent. Returns the exponent and the factor's logarithm."""
    exponent, factor = np.polyfit(np.log(list(times)), np.log(list(times.values())), 1)
    return float(exponent), float(factor)


def _figure(points: Mapping[str, Mapping[int, float]]) -> Figure:
    figure = Figure(figsize=(13, 7), layout="constrained")
    *panels, empty = figure.subplots(2, 3).flat
    empty.set_axis_off()
    for axes, (name, times) in zip(panels, points.items(), strict=True):
        _draw(axes, name, times)
    return figure


def _draw(axes: Axes, name: str, times: Mapping[int, float]) -> None:
    what, _, how = name.partition(" (")
    axes.plot(list(times), list(times.values()), "o", color="black")
    for part, style, label in zip(_parts(times), ("-", ":"), ("upper half", "whole range"), strict=True):
        exponent, factor = _fit(part)
        x = np.array(list(part), float)
        axes.plot(x, np.exp(factor) * x**exponent, style, label=f"{label}: exponent {exponent:.2f}")
    axes.set(xscale="log", yscale="log", xlabel=what, ylabel="seconds", title=how.rstrip(")"))
    axes.set_xticks(list(times), [f"{size:,}" for size in times], fontsize="small")
    axes.xaxis.minorticks_off()
    label_plainly(axes.yaxis)
    axes.legend()
