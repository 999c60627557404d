"""Show results as tables on the terminal, and write tables and figures to ``results/``."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import rich.table
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from rich.console import Console

from .timing import Times

RESULTS = Path(__file__).parent / "results"
OWN = "mlpframe"
"""The contender that all other contenders are compared with."""


@dataclass(frozen=True)
class Table:
    """A table: title, headings of the columns, and rows with a cell for each column."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def show(self) -> None:
        """Print the table on the terminal."""
        table = rich.table.Table()
        for i, heading in enumerate(self.headings):
            table.add_column(heading, justify="right" if i else "left")
        for row in self.rows:
            table.add_row(*row)
        console = Console(width=120, highlight=False)
        console.print(self.title)
        console.print(table)

    def markdown(self) -> str:
        rule = ["---", *["--:"] * (len(self.headings) - 1)]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in (self.headings, rule, *self.rows))


def write(name: str, title: str, text: str, tables: Sequence[Table], figure: Figure | None = None) -> None:
    """Write a page ``<name>.md`` and its figure ``<name>.png``."""
    RESULTS.mkdir(exist_ok=True)
    lines = [f"# {title}", "", text, "", f"Measured on {machine()}.", ""]
    for table in tables:
        lines += [f"## {table.title}", ""] if len(tables) > 1 else []
        lines += [table.markdown(), ""]
    if figure is not None:
        figure.savefig(RESULTS / f"{name}.png", dpi=110)
        lines += [f"![{title}]({name}.png)", ""]
    (RESULTS / f"{name}.md").write_text("\n".join(lines))


def machine() -> str:
    """The machine and the library versions, in words."""
    versions = []
    for package in ("numpy", "torch", "jax", "scikit-learn"):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return f"{platform.machine()}, Python {platform.python_version()}, {', '.join(versions)}"


def label_plainly(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers such as 0.5 or 20, whose first digit is 1, 2 or 5."""

    def label(value: float, _: float) -> str:
        number = f"{value:g}"
        return number if number.strip("0.") in ("1", "2", "5") else ""

    axis.set_major_formatter(label)
    axis.set_minor_formatter(label)


def on_threads(number: int) -> str:
    return f"{number} thread{'s' * (number > 1)}"


def comparison(title: str, unit: str, times: Times) -> Table:
    """The results of one case, with a row for each contender."""
    rows = [
        (name, f"{times.median(name) * 1e6:.1f}", f"{times.ratio(OWN, name):.3g}") for name in times.seconds
    ]
    return Table(title, ("", f"µs a {unit}", f"{OWN} ÷"), rows)


def write_comparisons(name: str, title: str, unit: str, results: Mapping[str, Times], note: str = "") -> None:
    """Write a page with the results of all cases, a row for each case. ``note`` ends the page's text."""
    text = (
        f"Time of {OWN} divided by the time of the other contender: medians of paired ratios of interleaved\n"
        f"rounds. Below 1, {OWN} is faster."
    )
    others = list(dict.fromkeys(name for times in results.values() for name in times.seconds))[1:]
    rows = [
        (
            case,
            f"{times.median(OWN) * 1e6:.1f}",
            *(f"{times.ratio(OWN, other):.3g}" if other in times.seconds else "" for other in others),
        )
        for case, times in results.items()
    ]
    table = Table(title, ("case", f"µs a {unit}", *(f"÷ {other}" for other in others)), rows)
    write(name, title, f"{text}\n{note}".strip(), [table], _ratio_figure(results, others))


def _ratio_figure(results: Mapping[str, Times], others: Sequence[str]) -> Figure:
    figure = Figure(figsize=(9, 0.35 * len(results) + 2), layout="constrained")
    axes = figure.subplots()
    for k, other in enumerate(others):
        shown = {i: t.ratio(OWN, other) for i, t in enumerate(results.values()) if other in t.seconds}
        places = np.array(list(shown)) + 0.05 * (k - len(others) / 2)
        axes.plot(list(shown.values()), places, "o", markersize=4, label=other)
    axes.axvline(1, color="0.4", linewidth=1)
    axes.set(xscale="log", xlabel=f"time of {OWN} ÷ time of the other (left of 1: {OWN} is faster)")
    label_plainly(axes.xaxis)
    axes.set_yticks(range(len(results)), list(results))
    axes.invert_yaxis()
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
