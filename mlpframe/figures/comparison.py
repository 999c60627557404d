"""The figure of a comparison of groups of runs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from .style import picture

if TYPE_CHECKING:
    from ..analysis.comparison import Comparison


def draw_comparison(comparison: Comparison, file: Path) -> None:
    """Draw a dot for each run, and a diamond with an interval for each mean. Join paired runs by lines."""
    groups = comparison.groups
    with picture(file, (max(7.0, 1.5 * len(groups)), 4.3)) as figure:
        axes = figure.subplots()
        axes.set(title=comparison.metric, ylabel=comparison.metric, xlim=(-0.6, len(groups) - 0.4))
        axes.grid(axis="y", alpha=0.3)
        places: list[dict[str, float]] = []
        for i, group in enumerate(groups):
            offsets = np.linspace(-0.2, 0.1, len(group.values)) if len(group.values) > 1 else [-0.05]
            places.append({key: i + float(x) for key, x in zip(sorted(group.values), offsets, strict=True)})
        for i, (left, right) in enumerate(pairwise(groups)):
            pair = next(pair for pair in comparison.pairs if pair.a is left and pair.b is right)
            for key in pair.partners:
                ends = (left.values[key], right.values[key])
                axes.plot((places[i][key], places[i + 1][key]), ends, color="0.8", linewidth=0.7, zorder=1)
        for i, group in enumerate(groups):
            color = f"C{i % 10}"
            values = [group.values[key] for key in places[i]]
            axes.plot(list(places[i].values()), values, "o", color=color, alpha=0.6, markeredgewidth=0)
            interval = group.interval(comparison.level)
            error = [[interval.radius]] * 2 if interval else None
            axes.errorbar(i + 0.2, group.mean, error, fmt="D", color=color, markersize=5, capsize=4, zorder=3)
        axes.set_xticks(range(len(groups)), [fill(group.label, 18) for group in groups], fontsize="small")
        axes.set_xlabel(f"dots: runs; diamonds: mean with {100 * comparison.level:g} % interval")
