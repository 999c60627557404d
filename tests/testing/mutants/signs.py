"""The data set ``kit_signs``."""

import numpy as np

from mlpframe.api import Dataset, Preparation, Splits, Table, register


@register("kit_signs")
class Signs(Dataset):
    """Points of the plane; a row has a class for each coordinate above 0.

    x ~ N(0, I), t = [x > 0]
    """

    shared = Preparation(validation=0.2, test=0)

    def load(self, context):
        x = context.rng.standard_normal((90, 2))
        return Splits(Table(x, (x > 0).astype(np.int8)), class_names=("right", "above"))
