"""The figures of a run, drawn from its history and from the metrics whose values are arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..api import Array
from ..training.history import History
from .style import WIDE, curves, picture

UPDATES = "parameter updates"


def draw_run(history: History, folder: Path) -> None:
    """Draw ``loss.png``, ``accuracy.png`` and ``learning_rate.png``, if the history has their metrics."""
    with picture(folder / "loss.png") as figure:
        _draw_loss(curves(figure, "Loss", UPDATES, "mean loss"), history)
    accuracies = _having(history, ("train/accuracy", "val/accuracy"))
    if accuracies:
        with picture(folder / "accuracy.png") as figure:
            _draw_metrics(curves(figure, "Accuracy", UPDATES, "accuracy"), history, accuracies)
    if history.series("lr")[0]:
        with picture(folder / "learning_rate.png") as figure:
            axes = curves(figure, "Learning rate", UPDATES, "learning rate")
            axes.plot(*history.series("lr"), drawstyle="steps-pre")
            axes.set_ylim(bottom=0)


def plot_history(history: History) -> Figure:
    """Draw the loss against updates, and beside it the first metric of ``SHOWN`` that the run has."""
    shown = next(filter(None, (_having(history, names) for names in SHOWN)), [])
    figure = Figure(figsize=(WIDE[0] * (2 if shown else 1), WIDE[1]), layout="constrained")
    left, *right = figure.subfigures(1, 2 if shown else 1, squeeze=False)[0]
    _draw_loss(curves(left, "Loss", UPDATES, "mean loss"), history)
    for part in right:
        name = shown[0].partition("/")[2].replace("_", " ")
        _draw_metrics(curves(part, name.capitalize(), UPDATES, name), history, shown)
    return figure


SHOWN = (
    ("train/accuracy", "val/accuracy"),
    ("val/subset_accuracy",),
    ("val/r2",),
)
"""Groups of metrics for the right half of a run's picture. The first group that the run has is drawn."""


def _having(history: History, names: Sequence[str]) -> list[str]:
    return [name for name in names if history.series(name)[0]]


def _draw_loss(axes: Axes, history: History) -> None:
    steps, values = history.series("train/loss_window")
    if steps:
        axes.plot(steps, values, color="0.7", linewidth=0.8, label="training, per window")
    for name, label in (("train/loss", "training, per epoch"), ("val/loss", "validation")):
        if history.series(name)[0]:
            axes.plot(*history.series(name), marker="o", markersize=3, label=label)
    losses = [loss for name in ("train/loss_window", "train/loss") for loss in history.series(name)[1]]
    if losses and min(losses) > 0 and max(losses) > 20 * min(losses):
        axes.set_yscale("log")
    if losses:
        axes.legend()


def _draw_metrics(axes: Axes, history: History, names: Sequence[str]) -> None:
    for name in names:
        axes.plot(*history.series(name), marker="o", markersize=3, label=name)
    axes.legend()


def draw_array(name: str, array: Array, classes: Sequence[str], columns: Sequence[str], folder: Path) -> None:
    """Draw ``<name>.png``: the array of a metric, as a matrix over the classes or as a table.

    Args:
        name: the name of the metric.
        array: the value of the metric, of any shape.
        classes: names of the classes.
        columns: names of the array's columns, if the columns are not the classes.
        folder: the folder for the picture.
    """
    file, title = folder / f"{name}.png", name.replace("_", " ")
    if array.shape == (len(classes), len(classes)) and not columns:
        draw_matrix(array, classes, title, file)
    else:
        draw_table(array, classes, columns, title, file)


def draw_arrays(
    arrays: Mapping[str, Array], classes: Sequence[str], columns: Mapping[str, Sequence[str]], folder: Path
) -> None:
    """Call ``draw_array`` for every metric in ``arrays``. ``columns`` holds the column names by metric."""
    for name, array in arrays.items():
        draw_array(name, np.asarray(array), classes, columns[name], folder)


def draw_matrix(matrix: Array, names: Sequence[str], title: str, file: Path) -> None:
    """Draw a square matrix over the classes. Each cell shows its count, shaded by its share of the row."""
    n = len(matrix)
    side = max(4.0, 0.55 * n + 1.5)
    with picture(file, (side + 0.5, side)) as figure:
        axes = figure.subplots()
        share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        axes.set(title=title, xlabel="predicted", ylabel="true", xticks=range(n), yticks=range(n))
        axes.set_xticklabels(names, rotation=45 if max(map(len, names)) > 3 else 0)
        axes.set_yticklabels(names)
        if n > 20:
            return
        for i, j in np.ndindex(n, n):
            color = "white" if share[i, j] > 0.5 else "0.2"
            axes.text(j, i, f"{matrix[i, j]:g}", ha="center", va="center", fontsize=8, color=color)


def draw_table(array: Array, names: Sequence[str], columns: Sequence[str], title: str, file: Path) -> None:
    """Draw an array as a table. Rows or columns are numbered if there is not one name for each."""
    cells = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
    rows, width = cells.shape
    with picture(file, (1.2 * width + 2.5, min(0.3 * rows + 1, 300))) as figure:
        axes = figure.subplots()
        axes.set_title(title)
        axes.axis("off")
        axes.table(
            [[f"{value:.4g}" for value in row] for row in cells],
            rowLabels=names if len(names) == rows else [str(i) for i in range(rows)],
            colLabels=columns if len(columns) == width else [str(j) for j in range(width)],
            loc="upper center",
        )
