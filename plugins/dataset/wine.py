"""The dataset ``wine``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import DataContext, Dataset, Preparation, Splits, Table, register


@register("wine")
class Wine(Dataset):
    """Wines of three growers, described by their chemical analysis.

    178 wines of one region of Italy, 13 features (alcohol, acids, phenols, color, …) in their own units, 3
    classes of 59, 71 and 48. From the UCI repository (CC BY 4.0), as scikit-learn bundles it.

    Source: Aeberhard, Coomans, de Vel 1994, "Comparative analysis of statistical pattern recognition methods
        in high dimensional settings".
    """

    shared = Preparation(validation=0.2, test=0.2, split="stratified", scaling="standard")

    def load(self, context: DataContext) -> Splits:
        from sklearn.datasets import load_wine  # imported late: it takes a second

        wine = load_wine()
        return Splits(
            Table(np.ascontiguousarray(wine.data, np.float64), wine.target.astype(np.intp)),
            class_names=tuple(str(name) for name in wine.target_names),
            feature_names=tuple(wine.feature_names),
        )
