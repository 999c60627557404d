"""The data set ``template``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import DataContext, Dataset, Preparation, Splits, Table, check_range, register


@register("template")
class Template(Dataset):
    """Points in the plane around two centers, one center for each class.

    x ~ N(c, spread² I) with c = (−1, 0) for class 0 and (1, 0) for class 1.
    Both classes have the same number of rows.

    Options:
        rows: number of rows, at least 10.
        spread: standard deviation around a center, more than 0.
    """

    shared = Preparation(validation=0.2, test=0.2, split="stratified")

    def __init__(self, *, rows: int = 200, spread: float = 0.5) -> None:
        check_range("rows", rows, minimum=10)
        check_range("spread", spread, above=0)
        self.rows, self.spread = rows, spread

    def load(self, context: DataContext) -> Splits:
        y = np.arange(self.rows) % 2
        x = self.spread * context.rng.standard_normal((self.rows, 2))
        x[:, 0] += 2 * y - 1
        return Splits(Table(x, y), class_names=("left", "right"), feature_names=("x0", "x1"))
