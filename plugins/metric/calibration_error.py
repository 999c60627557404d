"""The metric ``calibration_error``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, check_range, register


@register("calibration_error")
class CalibrationError(Metric):
    """The expected calibration error: how far confidence is from accuracy.

    ECE = Σ over bins of (rows in the bin / n) |accuracy − mean confidence of its rows|

    The confidence of a row is its highest probability; the bins are equal parts of 0 to 1, each with its
    upper end. An empty bin counts 0. It is small where classes that are given p are right in a share p of the
    rows, whatever the accuracy, and it depends on the bins. p is (n, classes), the target (n,) class numbers;
    of equal probabilities the first class counts.

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
        bins = np.ceil(np.clip(confidence, 0, 1) * self.bins).astype(np.intp)  # 0: of no confidence at all
        gaps = np.bincount(np.maximum(bins, 1), right - confidence)
        return float(np.abs(gaps).sum()) / len(right)
