"""Code that the data sets of random points in the plane share. Their classes alternate from row to row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlpframe.api import Array, Splits, Table, check_range


def check_points(rows: int, classes: int, noise: float) -> None:
    """Raise ``ValueError`` if ``rows`` is less than the number of classes, or ``noise`` less than 0."""
    check_range("rows", rows, minimum=classes)
    check_range("noise", noise, minimum=0)


def turns(rows: int, classes: int) -> NDArray[np.intp]:
    """The class of every row: 0, 1, …, 0, 1, …, so any rows in succession contain all classes equally."""
    return np.arange(rows, dtype=np.intp) % classes


def points(
    x0: Array, x1: Array, y: Array, class_names: tuple[str, ...], noise: float, rng: np.random.Generator
) -> Splits:
    """A data set of the points (x0, x1) with the classes y, each point moved by noise · N(0, I)."""
    x = np.stack([x0, x1], 1)
    if noise:
        x += noise * rng.standard_normal(x.shape)
    return Splits(Table(x, y), class_names=class_names, feature_names=("x0", "x1"))
