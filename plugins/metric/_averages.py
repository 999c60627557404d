"""Code that the metrics precision, recall, f1 and per_class share."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Metric, multi_hot

AVERAGES = ("macro", "micro")


def scores_of_each(prediction: Array, target: Array, average: str | None = None) -> Array:
    """Precision, recall and F₁ where a row may have several classes; 0 / 0 counts as 0.

    Args:
        prediction: the probability of each class ``(n, classes)``.
        target: 0 or 1 for each class ``(n, classes)``.
        average: "macro" or "micro"; ``None``: no average.

    Returns:
        ``(3,)``, or ``(3, classes)`` without an average.
    """
    chosen, true = multi_hot(prediction) > 0, target > 0
    counts = np.stack([(chosen & true).sum(0), chosen.sum(0), true.sum(0)])
    hits, n_chosen, n_true = counts.sum(1) if average == "micro" else counts
    above = np.stack([hits, hits, 2 * hits]).astype(np.float64)
    below = np.stack([n_chosen, n_true, n_chosen + n_true])
    scores: Array = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return np.mean(scores, 1) if average == "macro" else scores


class Averaged(Metric):
    """Base of the metrics that compute a number for each class and average these numbers over the classes.

    For a classification, a class that is neither the true nor the predicted class of any row is left out of
    the average. For the other classes, and for every class of a multilabel target, 0 / 0 counts as 0.
    """

    tasks = ("classification", "multilabel")
    examples = ({"average": "micro"},)

    def __init__(self, *, average: str = "macro") -> None:
        if average not in AVERAGES:
            raise ValueError(f"average must be {' or '.join(AVERAGES)}, not {average!r}")
        self.average = average

    def scores(self, prediction: Array, target: Array) -> tuple[float, float, float]:
        """Precision, recall and F₁."""
        if target.ndim == 2:
            precision, recall, f1 = scores_of_each(prediction, target, self.average)
            return float(precision), float(recall), float(f1)

        from sklearn.metrics import precision_recall_fscore_support

        precision, recall, f1, _ = precision_recall_fscore_support(
            target, prediction.argmax(-1), average=self.average, zero_division=0
        )
        return float(precision), float(recall), float(f1)
