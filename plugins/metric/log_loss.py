"""The metric ``log_loss``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, register


@register("log_loss")
class LogLoss(Metric):
    """The mean negative log of the probability of the true class.

    log loss = −mean over rows of log(p_c / Σ_j p_j)

    p_j are probabilities. A loss such as binary_cross_entropy gives each output a probability of its own; the
    formula divides these by their sum over the row. A p below the smallest positive normal number of its
    dtype (1.2e-38 in float32, 2.2e-308 in float64) counts as that number, so that the result is finite;
    scikit-learn's limits are 1.2e-7 and 2.2e-16. p is (n, classes), c (n,) class numbers.

    Source: Good 1952, "Rational decisions".
    """

    tasks = ("classification",)

    def compute(self, prediction: Array, target: Array) -> float:
        p = np.maximum(prediction, np.finfo(prediction.dtype).smallest_normal)
        true = np.take_along_axis(p, target[:, None].astype(np.intp), 1)[:, 0]
        return float(np.mean(np.log(p.sum(1, dtype=np.float64)) - np.log(true, dtype=np.float64)))
