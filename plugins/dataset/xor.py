"""The dataset ``xor``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import DataContext, Dataset, Preparation, Splits, Table, check_range, register

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)


@register("xor")
class XOR(Dataset):
    """The exclusive or of two bits: the smallest problem that no single layer solves.

    y = a xor b,  x = (a, b) + noise · ε,  ε ~ N(0, I)

    The points (0, 0), (0, 1), (1, 0), (1, 1) in this order, repeated; 2 features, 2 classes. All rows are
    training rows, unless the options validation or test hold some out.

    Options:
        repeats: how many times the four points are repeated, at least 1.
        noise: standard deviation of the noise added to every coordinate, at least 0.

    Source: Minsky, Papert 1969, "Perceptrons".
    """

    shared = Preparation(validation=0, test=0, split="stratified")

    def __init__(self, *, repeats: int = 1, noise: float = 0.0) -> None:
        check_range("repeats", repeats, minimum=1)
        check_range("noise", noise, minimum=0)
        self.repeats, self.noise = repeats, noise

    def load(self, context: DataContext) -> Splits:
        x = np.tile(CORNERS, (self.repeats, 1))
        y = (x[:, 0] != x[:, 1]).astype(np.intp)
        if self.noise:
            x += self.noise * context.rng.standard_normal(x.shape)
        return Splits(Table(x, y), class_names=("0", "1"), feature_names=("a", "b"))
