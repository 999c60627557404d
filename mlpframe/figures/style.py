"""How every picture looks, and what happens when a picture cannot be drawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

DPI = 120
WIDE = (7.0, 4.3)
"""Width and height in inches of a figure with curves."""


@contextmanager
def picture(file: Path, size: tuple[float, float] = WIDE) -> Iterator[Figure]:
    """Yield a new figure, and save the figure as ``file`` at the end of the ``with`` statement.

    A picture must never end a run. So an error while drawing or saving is reported in one line on standard
    error, and there is no picture. Text is shown unchanged: ``$`` does not begin a formula.

    Args:
        file: the file for the picture; its folder is created.
        size: width and height in inches.
    """
    try:
        with rc_context({"text.parse_math": False}):
            figure = Figure(figsize=size, layout="constrained")
            yield figure
            file.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(file, dpi=DPI)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        print(f"the figure {file.name} could not be drawn: {reason}", file=sys.stderr)


def curves(figure: FigureBase, title: str, x: str, y: str) -> Axes:
    """Add axes with a title, labels and a grid to the figure."""
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return axes
