"""The dataset ``blobs``."""

from __future__ import annotations

from mlpframe.api import DataContext, Dataset, Preparation, Splits, Table, check_range, register

from ._plane import turns

EXTENT = 10.0


@register("blobs")
class Blobs(Dataset):
    """Round clouds of points, one for each class.

    x ~ N(μ_c, std² I),  μ_c ~ U(−10, 10)^features

    The classes alternate from row to row. The run's seed draws the centers first, then the points.

    Options:
        rows: number of points, at least as many as there are centers.
        features: number of features, at least 1.
        centers: number of clouds and so of classes, at least 2.
        std: standard deviation of a cloud in every direction, at least 0.
    """

    shared = Preparation(validation=0.2, test=0.2, split="stratified")

    def __init__(self, *, rows: int = 1000, features: int = 2, centers: int = 3, std: float = 1.0) -> None:
        check_range("centers", centers, minimum=2)
        check_range("rows", rows, minimum=centers)
        check_range("features", features, minimum=1)
        check_range("std", std, minimum=0)
        self.rows, self.features, self.centers, self.std = rows, features, centers, std

    def load(self, context: DataContext) -> Splits:
        y = turns(self.rows, self.centers)
        means = context.rng.uniform(-EXTENT, EXTENT, (self.centers, self.features))
        x = means[y] + self.std * context.rng.standard_normal((self.rows, self.features))
        return Splits(Table(x, y), class_names=tuple(map(str, range(self.centers))))
