"""The metric ``kit_hits``."""

import numpy as np

from mlpframe.api import Metric, register


@register("kit_hits")
class Hits(Metric):
    """The mean probability of the true class.

    hits = mean over rows of p_c
    """

    tasks = ("classification",)

    def compute(self, prediction, target):
        chosen = prediction[np.arange(len(target)), target]
        return float(chosen.mean(dtype=np.float64))
