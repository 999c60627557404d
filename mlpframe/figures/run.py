"""The figures of a run and of a sweep, drawn from histories; and of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from ..api import Array
from ..training.history import History

if TYPE_CHECKING:
    pass
from .style import new_figure
from .sweep import draw_sweep


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
    figure, axes = new_figure("Loss", "parameter updates", "mean loss")
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
        figure, axes = new_figure("Accuracy", "parameter updates", "accuracy")
        for name in names:
            axes.plot(*history.series(name), marker="o", markersize=3, label=name)
        axes.legend()
        figure.savefig(folder / "accuracy.png", dpi=120)

    if history.series("lr")[0]:
        figure, axes = new_figure("Learning rate", "parameter updates", "learning rate")
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
