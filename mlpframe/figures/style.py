"""How every picture looks, and what happens when a picture cannot be drawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DPI = 120
WIDE = (7.0, 4.3)
"""Inches of a figure with curves."""


@contextmanager
def picture(file: Path, size: tuple[float, float] = WIDE) -> Iterator[Figure]:
    """A new figure that is saved as ``file`` when the block ends.

    A picture must never end a run. So an error in the block, or while the file is written, is told in one
    line on standard error, and there is no picture. Texts are shown as they are: ``$`` begins no formula.

    Args:
        file: where the picture goes; its folder is made.
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
        print(f"the picture {file.name} could not be drawn: {reason}", file=sys.stderr)


def curves(figure: Figure, title: str, x: str, y: str) -> Axes:
    """The axes of a figure with curves."""
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return axes
