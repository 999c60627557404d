"""The report's figures and formulas as SVG, drawn in the text color of the page around them."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.mathtext import math_to_image

from .results import Run

INK = "#010203"
"""A placeholder for the page's text color, which is dark on a light page and light on a dark page."""
BLUE, ORANGE = "#3b82d6", "#e07b1f"
"""Colors that are legible on light and dark pages."""
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text, which the page shows in its font
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
SIZE = re.compile(r'(width|height)="([\d.]+)pt"')
EM_PER_POINT = 0.12
"""The size of a formula in em (the text size of the page) for each point. Matplotlib sets formulas in
10 points. They look right at 1.2 em."""
Curve = tuple[Sequence[float], Sequence[float]]
_salt = count()


def formula(tex: str) -> str:
    """A formula in TeX's notation as SVG."""
    buffer = io.BytesIO()
    with rc_context(
        {"svg.fonttype": "path", "svg.hashsalt": f"formula {next(_salt)}", "mathtext.fontset": "cm"}
    ):
        math_to_image(f"${tex}$", buffer, format="svg", color=INK)
    svg = _embedded(buffer.getvalue().decode(), tex)
    return SIZE.sub(lambda size: f'{size[1]}="{float(size[2]) * EM_PER_POINT:.2f}em"', svg, count=2)


def loss_curve(windows: Curve, epochs: Sequence[int], label: str) -> str:
    """Draw the mean loss of each window (consecutive updates), with a dotted line at the end of an epoch."""
    figure, axes = _figure("iterations", "mean loss of a window")
    axes.plot(*windows, color=BLUE, linewidth=0.7)
    for end in epochs[:-1]:
        axes.axvline(end, color=INK, alpha=0.25, linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    return _svg(figure, label)


def loss_curves(curves: Mapping[str, Curve], label: str) -> str:
    """Draw the mean loss of each window (consecutive updates) against examples seen, a curve for each run."""
    figure, axes = _figure("examples seen", "mean loss of a window")
    for color, (name, curve) in zip((BLUE, ORANGE), curves.items(), strict=False):
        axes.plot(*curve, color=color, linewidth=0.8, label=name)
    axes.set_yscale("log")
    axes.legend(frameon=False)
    return _svg(figure, label)


def band(runs: Sequence[Run], window: int, label: str) -> str:
    """Draw the loss of each window of ``window`` updates: its mean over the runs, and a band of ± its std."""
    curves = [run.windows(window) for run in runs]
    steps = curves[0][0]
    losses = np.array([values for _, values in curves])
    mean, std = losses.mean(0), losses.std(0, ddof=1)
    figure, axes = _figure("iterations", f"loss per {window:,} iterations")
    axes.fill_between(steps, mean - std, mean + std, color=BLUE, alpha=0.3, linewidth=0)
    axes.plot(steps, mean, color=BLUE, linewidth=0.8)
    axes.set_ylim(0, float(np.quantile(mean + std, 0.995)))
    return _svg(figure, label)


def by_epoch(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], measure: str, label: str) -> str:
    """Draw measured values by epoch as lines, and the report's printed values as hollow markers."""
    figure, axes = _figure("epoch", measure)
    for color, (name, (measured, printed)) in zip((BLUE, ORANGE), curves.items(), strict=False):
        epochs = range(1, len(measured) + 1)
        axes.plot(epochs, measured, "o-", color=color, label=f"{name}, measured")
        if len(printed) == len(measured):
            hollow = f"{name}, printed"
            axes.plot(epochs, printed, "s:", color=color, markerfacecolor="none", label=hollow)
    axes.set_xticks(range(1, len(next(iter(curves.values()))[0]) + 1))
    axes.legend(frameon=False)
    return _svg(figure, label)


def _figure(x: str, y: str) -> tuple[Figure, Axes]:
    with rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.8), layout="constrained")
        axes = figure.subplots()
        axes.set(xlabel=x, ylabel=y)
        axes.grid(color=INK, alpha=0.12)
        axes.xaxis.set_major_formatter("{x:,.0f}")
    return figure, axes


def _svg(figure: Figure, label: str) -> str:
    buffer = io.StringIO()
    with rc_context({**STYLE, "svg.hashsalt": f"figure {next(_salt)}"}):
        figure.savefig(buffer, format="svg", transparent=True)
    return _embedded(buffer.getvalue(), label)


def _embedded(svg: str, label: str) -> str:
    """Cut the SVG element out of a file, give it the page's text color, and a label for screen readers."""
    start = svg.index("<svg")
    escaped = label.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return (
        svg[start:].replace(INK, "currentColor").replace("<svg", f'<svg role="img" aria-label="{escaped}"', 1)
    )
