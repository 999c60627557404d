"""The dataset ``moons``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import DataContext, Dataset, Preparation, Splits, register

from ._plane import check_points, points, turns


@register("moons")
class Moons(Dataset):
    """Two interlocking half circles.

    upper: (cos t, sin t),  lower: (1 − cos t, ½ − sin t),  t ~ U(0, π),  each point + noise · N(0, I)

    2 features, 2 classes that alternate from row to row. The shape is that of scikit-learn's make_moons,
    where t is evenly spaced; here t is drawn at random. The run's seed draws the points.

    Options:
        rows: number of points, at least 2.
        noise: standard deviation of the noise added to every coordinate, at least 0.
    """

    shared = Preparation(validation=0.2, test=0.2, split="stratified")

    def __init__(self, *, rows: int = 1000, noise: float = 0.1) -> None:
        check_points(rows, 2, noise)
        self.rows, self.noise = rows, noise

    def load(self, context: DataContext) -> Splits:
        y = turns(self.rows, 2)
        t = context.rng.uniform(0, np.pi, self.rows)
        x0 = np.where(y == 0, np.cos(t), 1 - np.cos(t))
        x1 = np.where(y == 0, np.sin(t), 0.5 - np.sin(t))
        return points(x0, x1, y, ("upper", "lower"), self.noise, context.rng)
