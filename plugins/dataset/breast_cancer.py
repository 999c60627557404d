"""The dataset ``breast_cancer``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import DataContext, Dataset, Preparation, Splits, Table, register


@register("breast_cancer")
class BreastCancer(Dataset):
    """Malignant and benign breast tumors, described by the shape of their cell nuclei.

    569 tumors, 30 features (mean, standard error and worst value of ten measurements in an image), 2 classes:
    212 malignant, 357 benign. "Breast cancer Wisconsin (diagnostic)" of the UCI repository (CC BY 4.0), as
    scikit-learn bundles it.

    Source: Street, Wolberg, Mangasarian 1993, "Nuclear feature extraction for breast tumor diagnosis".
    """

    shared = Preparation(validation=0.2, test=0.2, split="stratified", scaling="standard")

    def load(self, context: DataContext) -> Splits:
        from sklearn.datasets import load_breast_cancer  # imported late: it takes a second

        tumours = load_breast_cancer()
        return Splits(
            Table(np.ascontiguousarray(tumours.data, np.float64), tumours.target.astype(np.intp)),
            class_names=tuple(str(name) for name in tumours.target_names),
            feature_names=tuple(str(name) for name in tumours.feature_names),
        )
