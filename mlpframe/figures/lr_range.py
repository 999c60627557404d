"""The figure of a learning rate range test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

from .style import curves, picture


def draw_lr_range(
    rates: Sequence[float],
    losses: Sequence[float],
    means: Sequence[float],
    suggested: Mapping[str, float],
    title: str,
    file: Path,
) -> None:
    """Draw losses and smoothed losses against the learning rate, with a line at each suggested rate."""
    with picture(file) as figure:
        axes = curves(figure, fill(title, 80), "learning rate", "training loss")
        axes.plot(rates, losses, color="0.75", linewidth=0.8, label="of each update")
        axes.plot(rates, means, color="C0", label="smoothed")
        for i, (words, rate) in enumerate(suggested.items(), 1):
            axes.axvline(rate, color=f"C{i}", linestyle="--", linewidth=1, label=f"{rate:.2g}: {words}")
        low, high = min(means), max(means)
        # The axis fits the smoothed losses, because the losses of single updates may be far higher.
        margin = 0.1 * (high - low) or 1.0
        axes.set(xscale="log", ylim=(low - margin, high + margin))
        axes.legend(fontsize="small")
