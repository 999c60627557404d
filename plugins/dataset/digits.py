"""The dataset ``digits``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import DataContext, Dataset, Preparation, Splits, Table, register


@register("digits")
class Digits(Dataset):
    """Handwritten digits, 8×8 pixels: small, and needs no download.

    1,797 images, 64 features from 0 (paper) to 1 (ink) in steps of 1/16, 10 classes. The test part of the
    UCI repository's "Optical recognition of handwritten digits" (CC BY 4.0), as scikit-learn bundles it.

    Source: Alpaydin, Kaynak 1998, "Cascading classifiers".
    """

    shared = Preparation(validation=0.2, test=0.2, split="stratified")

    def load(self, context: DataContext) -> Splits:
        from sklearn.datasets import load_digits  # imported late: it takes a second

        images, labels = load_digits(return_X_y=True)
        x = (images / 16).astype(np.float32)
        return Splits(
            Table(np.ascontiguousarray(x), labels.astype(np.intp)),
            class_names=tuple("0123456789"),
            image_shape=(8, 8),
        )
