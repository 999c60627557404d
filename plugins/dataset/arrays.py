"""The dataset ``arrays``."""

from __future__ import annotations

from typing import Any

from mlpframe.api import DataContext, Dataset, Preparation, Splits, UsageError, register

from ._arrays import as_splits, check_task


@register("arrays")
class Arrays(Dataset):
    """The arrays that Python code hands over: what ``mlpframe.fit(x, y)`` trains on.

    The data set has no data of its own, so the command line cannot use it.

    Options:
        task: classification, multilabel, regression, or auto: texts, truth values and whole numbers are
            classes (rows,), or multilabel (rows, classes) if there is a 0 or 1 for each of several classes;
            floating-point numbers are a regression.
    """

    shared = Preparation(validation=0.2, test=0, split="stratified", scaling="standard")

    def __init__(self, *, task: str = "auto") -> None:
        check_task(task)
        self.task = task
        self._splits: Splits | None = None

    def hand_over(self, x: Any, y: Any, test: tuple[Any, Any] | None = None, weights: Any = None) -> None:
        """Take the arguments of ``mlpframe.fit``; a data frame's columns name features or classes."""
        features, classes = (tuple(map(str, getattr(frame, "columns", ()))) for frame in (x, y))
        self._splits = as_splits((x, y), test, weights, features, classes, self.task)

    def load(self, context: DataContext) -> Splits:
        if self._splits is None:
            raise UsageError(
                "dataset=arrays has no data of its own: they come from mlpframe.fit(x, y) in Python"
            )
        return self._splits
