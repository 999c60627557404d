"""The dataset ``spirals``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import DataContext, Dataset, Preparation, Splits, check_range, register

from ._plane import check_points, points, turns


@register("spirals")
class Spirals(Dataset):
    """Spiral arms wound around each other.

    x = r (cos θ, sin θ) + noise · N(0, I),  θ = 2π (turns · r + c / arms) in class c,  r ~ U(0, 1)

    2 features, and a class for each arm; the classes alternate from row to row. The run's seed draws the
    points.

    Options:
        rows: number of points, at least as many as there are arms.
        arms: number of spirals, at least 2.
        turns: how many times an arm goes around the center, above 0.
        noise: standard deviation of the noise added to every coordinate, at least 0.

    Source: Lang, Witbrock 1988, "Learning to tell two spirals apart".
    """

    shared = Preparation(validation=0.2, test=0.2, split="stratified")

    def __init__(self, *, rows: int = 1000, arms: int = 2, turns: float = 1.0, noise: float = 0.02) -> None:
        check_range("arms", arms, minimum=2)
        check_points(rows, arms, noise)
        check_range("turns", turns, above=0)
        self.rows, self.arms, self.turns, self.noise = rows, arms, turns, noise

    def load(self, context: DataContext) -> Splits:
        y = turns(self.rows, self.arms)
        r = context.rng.uniform(0, 1, self.rows)
        angle = 2 * np.pi * (self.turns * r + y / self.arms)
        names = tuple(map(str, range(self.arms)))
        return points(r * np.cos(angle), r * np.sin(angle), y, names, self.noise, context.rng)
