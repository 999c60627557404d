"""The figures of a run and of a sweep, drawn from histories; and of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..api import Array
from ..history import History

if TYPE_CHECKING:
    from ..statistics import Comparison


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 4.3), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes


def draw_results(folder: Path, results: Mapping[str, Any]) -> None:
    """All figures of a run or sweep that has ended, as ``figures/*.png`` in its folder.

    Args:
        folder: its folder, with its history.
        results: ``arrays`` (metrics to draw, by name) with ``class_names`` and the names of their
            ``columns``, and ``curves`` (``groups``: files of histories by label, and ``metrics``); each if
            there is one.
    """
    history = folder / "history" / "history.csv"
    if history.exists():
        draw_run(History.read_csv(history), folder / "figures")
    curves = results.get("curves")
    if curves:
        groups = curves["groups"].items()
        histories = {label: [History.read_csv(Path(file)) for file in files] for label, files in groups}
        for metric in curves["metrics"]:
            draw_sweep(histories, metric, folder / "figures" / f"{metric.replace('/', '_')}.png")
    for name, rows in results.get("arrays", {}).items():
        file, title, array = folder / "figures" / f"{name}.png", name.replace("_", " "), np.array(rows)
        names, columns = results["class_names"], results["columns"][name]
        if array.shape == (len(names), len(names)) and not columns:
            draw_matrix(array, names, title, file)
        else:
            draw_table(array, names, columns, title, file)


def draw_run(history: History, folder: Path) -> None:
    """``loss.png``, ``accuracy.png`` and ``learning_rate.png``: whatever of them the history has."""
    folder.mkdir(parents=True, exist_ok=True)
    steps, values = history.series("train/loss_window")
    figure, axes = _figure("Loss", "parameter updates", "mean loss")
    if steps:
        axes.plot(steps, values, color="0.7", linewidth=0.8, label="training, per window")
    for name, label in (("train/loss", "training, per epoch"), ("val/loss", "validation")):
        if history.series(name)[0]:
            axes.plot(*history.series(name), marker="o", markersize=3, label=label)
    shown = [value for name in ("train/loss_window", "train/loss") for value in history.series(name)[1]]
    if shown and min(shown) > 0 and max(shown) > 20 * min(shown):
        axes.set_yscale("log")
    axes.legend()
    figure.savefig(folder / "loss.png", dpi=120)

    names = [name for name in ("train/accuracy", "val/accuracy") if history.series(name)[0]]
    if names:
        figure, axes = _figure("Accuracy", "parameter updates", "accuracy")
        for name in names:
            axes.plot(*history.series(name), marker="o", markersize=3, label=name)
        axes.legend()
        figure.savefig(folder / "accuracy.png", dpi=120)

    if history.series("lr")[0]:
        figure, axes = _figure("Learning rate", "parameter updates", "learning rate")
        axes.plot(*history.series("lr"), drawstyle="steps-pre")
        axes.set_ylim(bottom=0)
        figure.savefig(folder / "learning_rate.png", dpi=120)


def draw_matrix(matrix: Array, names: Sequence[str], title: str, file: Path) -> None:
    """A square matrix over the classes with its counts, shaded by the share of its row."""
    file.parent.mkdir(parents=True, exist_ok=True)
    n = len(matrix)
    side = max(4.0, 0.55 * n + 1.5)
    figure = Figure(figsize=(side + 0.5, side), layout="constrained")
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set(title=title, xlabel="predicted", ylabel="true", xticks=range(n), yticks=range(n))
    axes.set_xticklabels(names, rotation=45 if max(map(len, names)) > 3 else 0)
    axes.set_yticklabels(names)
    if n <= 20:
        for i in range(n):
            for j in range(n):
                axes.text(
                    j,
                    i,
                    f"{matrix[i, j]:g}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if share[i, j] > 0.5 else "0.2",
                )
    figure.savefig(file, dpi=120)


def draw_table(array: Array, names: Sequence[str], columns: Sequence[str], title: str, file: Path) -> None:
    """The numbers of any array as a table; rows and columns whose names do not fit it are numbered."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cells = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
    rows, width = cells.shape
    figure = Figure(figsize=(1.2 * width + 2.5, min(0.3 * rows + 1, 300)), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.axis("off")
    axes.table(
        [[f"{value:.4g}" for value in row] for row in cells],
        rowLabels=names if len(names) == rows else [str(i) for i in range(rows)],
        colLabels=columns if len(columns) == width else [str(j) for j in range(width)],
        loc="upper center",
    )
    figure.savefig(file, dpi=120)


def draw_sweep(curves: Mapping[str, Sequence[History]], metric: str, file: Path) -> None:
    """One metric of all runs of a sweep: a thin line for each run, a thick one for each group's mean."""
    file.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = _figure(metric, "parameter updates", metric)
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


def draw_comparison(comparison: Comparison, file: Path) -> None:
    """A dot for each run, a diamond for each mean with its interval; paired runs of neighbours are joined."""
    file.parent.mkdir(parents=True, exist_ok=True)
    groups = comparison.groups
    figure = Figure(figsize=(max(7.0, 1.5 * len(groups)), 4.3), layout="constrained")
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
    figure.savefig(file, dpi=120)


def draw_lr_range(
    rates: Sequence[float],
    losses: Sequence[float],
    means: Sequence[float],
    suggested: Mapping[str, float],
    title: str,
    file: Path,
) -> None:
    """Losses and their running mean over the rate, which grows, with a line at each suggested rate."""
    file.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = _figure(fill(title, 80), "learning rate", "training loss")
    axes.plot(rates, losses, color="0.75", linewidth=0.8, label="of each update")
    axes.plot(rates, means, color="C0", label="smoothed")
    for i, (words, rate) in enumerate(suggested.items(), 1):
        axes.axvline(rate, color=f"C{i}", linestyle="--", linewidth=1, label=f"{rate:.2g}: {words}")
    low, high = min(means), max(means)
    margin = 0.1 * (high - low) or 1.0  # single losses may be far beyond
    axes.set(xscale="log", ylim=(low - margin, high + margin))
    axes.legend(fontsize="small")
    figure.savefig(file, dpi=120)
