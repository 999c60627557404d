"""The data set ``kit_points``."""

import numpy as np

from mlpframe.api import Dataset, Preparation, Splits, Table, check_range, register


@register("kit_points")
class Points(Dataset):
    """Points in the plane, in three bands.

    x ~ N(0, I), the class is the third of the line in which the first coordinate lies.

    Options:
        rows: number of rows, at least 30.
    """

    shared = Preparation(validation=0.2, test=0)

    def __init__(self, *, rows: int = 90) -> None:
        check_range("rows", rows, minimum=30)
        self.rows = rows

    def load(self, context):
        rng = context.rng
        x = rng.standard_normal((self.rows, 2))
        y = np.digitize(x[:, 0], [-0.4, 0.4])
        return Splits(Table(x, y), class_names=("low", "middle", "high"), feature_names=("x0", "x1"))
