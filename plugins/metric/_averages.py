"""What precision, recall and f1 share."""

from __future__ import annotations

from mlpframe.api import Array, Metric

AVERAGES = ("macro", "micro")


class Averaged(Metric):
    """A figure for each class, averaged over the classes.

    A class that is neither the true nor the predicted class of any row is left out of the average. For the
    other classes, 0 / 0 counts as 0.
    """

    tasks = ("classification",)
    examples = ({"average": "micro"},)

    def __init__(self, *, average: str = "macro") -> None:
        if average not in AVERAGES:
            raise ValueError(f"average must be {' or '.join(AVERAGES)}, not {average!r}")
        self.average = average

    def scores(self, prediction: Array, target: Array) -> tuple[float, float, float]:
        """Precision, recall and F₁."""
        from sklearn.metrics import precision_recall_fscore_support

        precision, recall, f1, _ = precision_recall_fscore_support(
            target, prediction.argmax(-1), average=self.average, zero_division=0
        )
        return float(precision), float(recall), float(f1)
