"""The figures of a sweep, from the histories of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..training.history import History

if TYPE_CHECKING:
    pass
from .style import new_figure


def draw_sweep(curves: Mapping[str, Sequence[History]], metric: str, file: Path) -> None:
    """One metric of all runs of a sweep: a thin line for each run, a thick one for each group's mean."""
    file.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = new_figure(metric, "parameter updates", metric)
    for i, (label, histories) in enumerate(curves.items()):
        series = [history.series(metric) for history in histories]
        color = f"C{i % 10}"
        for steps, values in series:
            axes.plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
        if series and all(steps == series[0][0] for steps, _ in series):
            axes.plot(series[0][0], np.mean([values for _, values in series], 0), color=color, label=label)
        else:
            axes.plot([], [], color=color, label=label)
    if len(curves) <= 20:
        axes.legend(fontsize="small")
    figure.savefig(file, dpi=120)
