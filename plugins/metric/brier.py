"""The metric ``brier``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, register


@register("brier")
class Brier(Metric):
    """The squared distance of the probabilities from the true class's one-hot row.

    Brier score = mean over rows of Σ_j (p_j − [j = c])²

    This is Brier's sum over all classes: 0 is perfect; 2 is certain and wrong. With two classes it is twice
    the Brier score that uses the probability of only one class. p is (n, classes), c (n,) class numbers; the
    sum is taken in float64.

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability".
    """

    tasks = ("classification",)

    def compute(self, prediction: Array, target: Array) -> float:
        error = prediction.astype(np.float64)
        error[np.arange(len(error)), target] -= 1
        return float(np.vdot(error, error)) / len(error)
