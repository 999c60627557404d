"""The dataset ``circles``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import DataContext, Dataset, Preparation, Splits, check_range, register

from ._plane import check_points, points, turns


@register("circles")
class Circles(Dataset):
    """Two circles, one inside the other.

    x = r (cos t, sin t) + noise · N(0, I),  t ~ U(0, 2π),  r = 1 (outer) or factor (inner)

    2 features, 2 classes that alternate from row to row. The run's seed draws the points.

    Options:
        rows: number of points, at least 2.
        noise: standard deviation of the noise added to every coordinate, at least 0.
        factor: radius of the inner circle, above 0 and below 1.
    """

    shared = Preparation(validation=0.2, test=0.2, split="stratified")

    def __init__(self, *, rows: int = 1000, noise: float = 0.05, factor: float = 0.5) -> None:
        check_points(rows, 2, noise)
        check_range("factor", factor, above=0, below=1)
        self.rows, self.noise, self.factor = rows, noise, factor

    def load(self, context: DataContext) -> Splits:
        y = turns(self.rows, 2)
        t = context.rng.uniform(0, 2 * np.pi, self.rows)
        r = np.where(y == 0, 1, self.factor)
        return points(r * np.cos(t), r * np.sin(t), y, ("outer", "inner"), self.noise, context.rng)
