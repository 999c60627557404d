"""The figures of a sweep, drawn from the histories of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..training.history import History
from .style import curves, picture


def draw_sweep(groups: Mapping[str, Sequence[Path]], metrics: Sequence[str], folder: Path) -> None:
    """Draw one picture for each metric, with the curves of all runs.

    Args:
        groups: the files of the runs' histories, by the label of the runs' group.
        metrics: the metrics to draw.
        folder: the folder for the pictures.
    """
    histories = {label: [History.read_csv(file) for file in files] for label, files in groups.items()}
    for metric in metrics:
        draw_curves(histories, metric, folder / f"{metric.replace('/', '_')}.png")


def draw_curves(groups: Mapping[str, Sequence[History]], metric: str, file: Path) -> None:
    """Draw one metric of a sweep's runs: a thin line for each run, a thick line for each group's mean."""
    with picture(file) as figure:
        axes = curves(figure, metric, "parameter updates", metric)
        for i, (label, histories) in enumerate(groups.items()):
            series = [history.series(metric) for history in histories]
            color = f"C{i % 10}"
            for steps, values in series:
                axes.plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
            if series and all(steps == series[0][0] for steps, _ in series):
                mean = np.mean([values for _, values in series], 0)
                axes.plot(series[0][0], mean, color=color, label=label)
            else:
                axes.plot([], [], color=color, label=label)
        if 0 < len(groups) <= 20:
            axes.legend(fontsize="small")
