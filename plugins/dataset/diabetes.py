"""The dataset ``diabetes``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import DataContext, Dataset, Preparation, Splits, Table, register


@register("diabetes")
class Diabetes(Dataset):
    """Progression of diabetes one year after ten measurements: a regression.

    442 patients, 10 features (age, sex, body mass index, blood pressure, six blood serum values) in their own
    units, 1 target from 25 to 346 in a unit that the paper does not state. The data come from the authors of
    the paper, as scikit-learn bundles them; no license is stated.

    Source: Efron, Hastie, Johnstone, Tibshirani 2004, "Least angle regression".
    """

    shared = Preparation(validation=0.2, test=0.2, split="random", scaling="standard")

    def load(self, context: DataContext) -> Splits:
        from sklearn.datasets import load_diabetes  # imported late: it takes a second

        diabetes = load_diabetes(scaled=False)
        y = np.ascontiguousarray(diabetes.target, np.float64)[:, None]
        return Splits(
            Table(np.ascontiguousarray(diabetes.data, np.float64), y),
            feature_names=tuple(diabetes.feature_names),
        )
