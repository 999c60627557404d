"""The dataset ``iris``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import DataContext, Dataset, Preparation, Splits, Table, register


@register("iris")
class Iris(Dataset):
    """Three species of iris, described by the size of their flowers.

    150 flowers, 4 lengths and widths in cm, 3 classes of 50; one class is linearly separable from the others.
    Measured by E. Anderson. The values are those of scikit-learn, which agree with R's; the UCI repository's
    copy (CC BY 4.0) has two wrong rows.

    Source: Fisher 1936, "The use of multiple measurements in taxonomic problems".
    """

    shared = Preparation(validation=0.2, test=0.2, split="stratified", scaling="standard")

    def load(self, context: DataContext) -> Splits:
        from sklearn.datasets import load_iris  # imported late: it takes a second

        iris = load_iris()
        return Splits(
            Table(np.ascontiguousarray(iris.data, np.float64), iris.target.astype(np.intp)),
            class_names=tuple(str(name) for name in iris.target_names),
            feature_names=tuple(iris.feature_names),
        )
