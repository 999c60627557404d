"""The metric ``r2``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, register


@register("r2")
class R2(Metric):
    """The coefficient of determination R², averaged over the outputs with equal weights.

    R² = 1 − Σ (y − ŷ)² / Σ (y − ȳ)²  for each output, sums over the rows

    1 is perfect, 0 is as good as predicting the mean, and there is no lower bound. An output whose target is
    constant (always so with one row) counts as 1 if it is predicted perfectly and as 0 otherwise, as in
    scikit-learn's r2_score. ŷ and y are (n, n_outputs); sums are taken in float64.

    Source: Kvålseth 1985, "Cautionary note about R²".
    """

    tasks = ("regression",)

    def compute(self, prediction: Array, target: Array) -> float:
        y = np.asarray(target, np.float64)
        residual = np.square(y - prediction).sum(0)
        # Without this shift, rounding of the mean could give a constant target a variance above 0.
        shifted = y - y[0]
        total = np.square(shifted - shifted.mean(0)).sum(0)
        varies = total > 0
        scores = np.where(residual == 0, 1.0, 0.0)
        scores[varies] = 1 - residual[varies] / total[varies]
        return float(scores.mean())
