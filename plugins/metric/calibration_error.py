"""The metric ``calibration_error``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, check_range, register


@register("calibration_error")
class CalibrationError(Metric):
    """The expected calibration error: how much confidence and accuracy differ.

    ECE = Σ over bins of (rows in the bin / n) |accuracy − mean confidence of its rows|

    The confidence of a row is its highest probability; the bins split the interval from 0 to 1 into equal
    parts, and each bin includes its upper end. An empty bin counts as 0. The error is small if, among the
    predictions with confidence p, a share p is right, even if the accuracy is low. The error depends on the
    number of bins. p is (n, classes), the target (n,) class numbers; if several classes are equally probable,
    the first counts.

    Options:
        bins: number of bins, at least 1.

    Source: Guo, Pleiss, Sun, Weinberger 2017, "On calibration of modern neural networks"; Naeini, Cooper,
    Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian binning".
    """

    tasks = ("classification",)
    examples = ({"bins": 1},)

    def __init__(self, *, bins: int = 15) -> None:
        check_range("bins", bins, minimum=1)
        self.bins = bins

    def compute(self, prediction: Array, target: Array) -> float:
        confidence = prediction.max(-1).astype(np.float64)
        right = prediction.argmax(-1) == target
        bins = np.ceil(np.clip(confidence, 0, 1) * self.bins).astype(np.intp)  # 0 if confidence is 0
        gaps = np.bincount(np.maximum(bins, 1), right - confidence)
        return float(np.abs(gaps).sum()) / len(right)
