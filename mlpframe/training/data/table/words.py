"""Predictions of the network as a table in the user's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ....api import Array, UsageError
from ....api.component import Task
from .encoder import Target

if TYPE_CHECKING:
    import pandas as pd


class Words:
    """Predictions in the user's words.

    A classification has the column ``<target>`` with the label of the predicted class. Multilabel has a
    column of 0 and 1 for each class. In both, each class also has a column ``p(<label>)``, or
    ``score(<label>)`` if the loss makes scores that are not probabilities. A regression has a column for each
    target, in the target's unit. A target without a name is called ``prediction``, or ``prediction 1``,
    ``prediction 2``, … if there are several.

    Args:
        target: what is predicted.
        task: whether one class, several classes or values are predicted.
        outputs: the number of classes or values.
        scores: whether the predictions of a classification are scores that are not probabilities.
        threshold: of two classes, the second is predicted if its probability is above this number; ``None``:
            the more probable class is predicted. For multilabel, a class is predicted above this number.

    Raises:
        UsageError: a threshold does not fit the task.
    """

    def __init__(
        self,
        target: Target,
        task: Task,
        outputs: int,
        *,
        scores: bool = False,
        threshold: float | None = None,
    ) -> None:
        self.task, self.target, self._threshold = task, target, threshold
        classes = target.class_names
        if threshold is not None and (task == "regression" or (task == "classification" and outputs != 2)):
            what = "predicts values" if task == "regression" else f"has {outputs} classes"
            raise UsageError(f"a threshold is for two classes or multilabel, but the model {what}")
        p = "score" if scores else "p"
        if task == "regression":
            several = [f"prediction {number}" for number in range(1, outputs + 1)]
            self.columns = list(target.names) or (several if outputs > 1 else ["prediction"])
        elif task == "multilabel":
            self.columns = [*classes, *(f"{p}({name})" for name in classes)]
        else:
            self.columns = [*(target.names or ("prediction",)), *(f"{p}({name})" for name in classes)]

    def table(self, prediction: Array) -> pd.DataFrame:
        """The table of predictions; a row that cannot be predicted (NaN) has no label.

        Args:
            prediction: probabilities ``(n, classes)`` or values ``(n, outputs)``, as ``Predictor.predict``
                returns them.
        """
        import pandas as pd

        labels = [_where(column, prediction) for column in self._labels(prediction)]
        columns = dict(enumerate([*labels, *prediction.T]))  # two columns may have the same name
        return pd.DataFrame(columns).set_axis(self.columns, axis=1)

    def _labels(self, prediction: Array) -> list[Array]:
        """The columns of labels."""
        if self.task == "regression":
            return []
        if self.task == "multilabel":
            chosen = prediction > (0.5 if self._threshold is None else self._threshold)
            return list(chosen.T.astype(np.int64))
        numbers: NDArray[np.intp] = prediction.argmax(1)
        if self._threshold is not None:
            numbers = (prediction[:, 1] > self._threshold).astype(np.intp)
        return [self.target.labels(numbers)]


def _where(labels: Array, prediction: Array) -> pd.Series:
    """Labels, missing where the prediction is NaN; whole numbers stay whole numbers."""
    import pandas as pd

    known = ~np.isnan(prediction).any(1)
    if known.all():
        return pd.Series(labels)
    series = pd.Series(labels, dtype="Int64" if labels.dtype.kind == "i" else object)
    return series.where(pd.Series(known))
