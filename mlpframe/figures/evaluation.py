"""The figures of an evaluation: calibration, predicted against true values, importance of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..api import Array
from .style import curves, picture

BINS = 10
MOST_POINTS = 5000
"""The largest number of points in a scatter plot. If there are more rows, only the first are drawn."""
MOST_BARS = 30


def draw_calibration(p: Array, happened: Array, title: str, file: Path) -> None:
    """Draw how often an event happens that was predicted with probability p, in ten bins of p.

    Args:
        p: predicted probabilities of the event ``(n,)``.
        happened: 1 for each row where the event happened, else 0 ``(n,)``.
        title: the title of the figure, which says what is predicted.
        file: the file for the picture.
    """
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    used = counts > 0
    mean = np.bincount(bins, p, BINS)[used] / counts[used]
    share = np.bincount(bins, happened, BINS)[used] / counts[used]
    with picture(file, (5.0, 5.0)) as figure:
        axes = curves(figure, title, "predicted probability", "share of rows")
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, label="calibrated")
        error = np.sqrt(share * (1 - share) / counts[used])
        axes.errorbar(mean, share, error, marker="o", markersize=4, capsize=2, label="mean ± standard error")
        for x, y, count in zip(mean, share, counts[used], strict=True):
            axes.annotate(f"{count:,}", (x, y), (4, -10), textcoords="offset points", fontsize=7, color="0.4")
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
        axes.legend()


def draw_values(predicted: Array, true: Array, names: Sequence[str], file: Path) -> None:
    """Draw predicted against true values, with a diagram for each target, side by side.

    Args:
        predicted, true: ``(n, targets)``, in the targets' unit.
        names: the names of the targets.
        file: the file for the picture.
    """
    with picture(file, (5.0 * len(names), 5.0)) as figure:
        for axes, name, x, y in zip(
            np.ravel(figure.subplots(1, len(names))), names, true.T, predicted.T, strict=True
        ):
            low, high = min(x.min(), y.min()), max(x.max(), y.max())
            axes.plot([low, high], [low, high], color="0.6", linewidth=0.8)
            axes.plot(x[:MOST_POINTS], y[:MOST_POINTS], ".", markersize=3, alpha=0.6)
            axes.set(title=name, xlabel="true", ylabel="predicted")
            axes.grid(alpha=0.3)


def draw_importance(
    names: Sequence[str], means: Array, deviations: Array, metric: str, rows: int, file: Path
) -> None:
    """Draw by how much a metric gets worse when an input is permuted, the most important input at the top."""
    names, means, deviations = names[:MOST_BARS], means[:MOST_BARS], deviations[:MOST_BARS]
    with picture(file, (7.0, 0.28 * len(names) + 1.2)) as figure:
        axes = curves(figure, "Permutation importance", f"{metric} gets worse by ({rows:,} rows)", "")
        axes.barh(range(len(names)), means, xerr=deviations, color="tab:blue", ecolor="0.3", capsize=2)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
