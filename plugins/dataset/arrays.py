"""The dataset ``arrays``."""

from __future__ import annotations

from typing import Any

from mlpframe.api import DataContext, Dataset, Preparation, Splits, UsageError, register

from ._arrays import as_splits


@register("arrays")
class Arrays(Dataset):
    """The arrays that Python code hands over: what ``mlpframe.fit(x, y)`` trains on.

    The data set has no data of its own, so the command line cannot use it.
    """

    shared = Preparation(validation=0.2, test=0, split="stratified", standardize=True)

    def __init__(self) -> None:
        self._splits: Splits | None = None

    def hand_over(self, x: Any, y: Any, test: tuple[Any, Any] | None = None, weights: Any = None) -> None:
        """Take the arguments of ``mlpframe.fit``; a data frame's columns name the features."""
        names = tuple(map(str, getattr(x, "columns", ())))
        self._splits = as_splits((x, y), test, weights, names)

    def load(self, context: DataContext) -> Splits:
        if self._splits is None:
            raise UsageError(
                "dataset=arrays has no data of its own: they come from mlpframe.fit(x, y) in Python"
            )
        return self._splits
