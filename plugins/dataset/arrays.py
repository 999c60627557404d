"""The dataset ``arrays``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlpframe.api import DataContext, Preparation, Splits, UsageError, nearest, register

from ._arrays import as_splits
from ._frame import TableDataset

if TYPE_CHECKING:
    import pandas as pd


@register("arrays")
class Arrays(TableDataset):
    """The arrays or the data frame that Python code passes to ``mlpframe.fit(x, y)``.

    The data set has no data of its own, so the command line cannot use this data set. Options that name
    columns work only with a data frame.

    Options:
        task: classification, multilabel, regression, or auto. With auto, arrays are judged by type and shape:
            texts, truth values and whole numbers (rows,) are a classification; whole numbers or truth values
            (rows, classes), with 0 or 1 for each of several classes, are multilabel; floating-point numbers
            are a regression. With auto, a target column of a data frame is a classification if it holds text,
            true and false, or whole numbers with at most 20 different values, each at least twice on average;
            several target columns of 0 and 1 are multilabel; all other targets are a regression.
    """

    shared = Preparation(validation=0.2, test=0, split="stratified", scaling="standard", missing="impute")

    def __init__(
        self,
        *,
        task: str = "auto",
        categorical: list[str] | None = None,
        dates: list[str] | None = None,
        keep: list[str] | None = None,
        ignore: list[str] | None = None,
        encoding: str = "one_hot",
        max_categories: int = 100,
        split_by: str | None = None,
    ) -> None:
        super().__init__(
            source="the data frame",
            task=task,
            categorical=categorical,
            dates=dates,
            keep=keep,
            ignore=ignore,
            encoding=encoding,
            max_categories=max_categories,
            split_by=split_by,
        )
        self._splits: Splits | None = None

    def hand_over(self, x: Any, y: Any, test: Any = None, weights: Any = None) -> None:
        """Receive the arguments of ``mlpframe.fit`` before the run starts; ``load`` then returns the data."""
        if hasattr(x, "columns"):
            self._splits = self._of_frame(x, y, test, weights)
        else:
            self._splits = self._of_arrays(x, y, test, weights)

    def load(self, context: DataContext) -> Splits:
        if self._splits is None:
            raise UsageError(
                "dataset=arrays has no data of its own: they come from mlpframe.fit(x, y) in Python"
            )
        return self._splits

    def _of_arrays(self, x: Any, y: Any, test: Any, weights: Any) -> Splits:
        if _names(y) or isinstance(weights, str):
            raise UsageError(
                f"{_names(y)[0] if _names(y) else weights!r} names a column, and x is not a data frame"
            )
        if any((self.rules.categorical, self.rules.dates, self.rules.keep, self.ignore, self.split_by)):
            raise UsageError("options of dataset=arrays that name columns need a data frame x")
        classes = tuple(map(str, getattr(y, "columns", ())))  # names of the classes of a multilabel target
        return as_splits((x, y), _pair(test), weights, (), classes, self.task)

    def _of_frame(self, x: pd.DataFrame, y: Any, test: Any, weights: Any) -> Splits:
        import pandas as pd

        columns = list(map(str, x.columns))
        for name in columns:
            if columns.count(name) > 1:
                raise UsageError(f"{columns.count(name)} columns of the data frame are called {name!r}")
        targets = _names(y)
        if targets:
            for name in targets:
                if name not in columns:
                    raise UsageError(f"the data frame has no column {name!r}; {nearest(name, columns)}")
            frames = [_with_columns(x, columns)]
            if test is not None:
                frames.append(_with_columns(_pair(test)[0] if isinstance(test, tuple) else test, columns))
        else:
            targets = _target_names(y, columns)
            pairs = [(x, y)] if test is None else [(x, y), _pair(test)]
            frames = [_joined(inputs, columns, values, targets) for inputs, values in pairs]
        rows = [len(frame) for frame in frames]
        frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        self.targets = targets
        self.weight = weights if isinstance(weights, str) else None
        row_weights = None if weights is None or self.weight else _row_weights(weights, rows)
        parts = np.repeat(["train", "test"][: len(rows)], rows)
        return self.splits(frame, parts, row_weights)


def _names(y: Any) -> tuple[str, ...]:
    """The target columns if ``y`` is a name or a list of names; empty if ``y`` holds the target values."""
    if isinstance(y, str):
        return (y,)
    names = isinstance(y, list | tuple) and bool(y) and all(isinstance(name, str) for name in y)
    return tuple(y) if names else ()


def _pair(test: Any) -> Any:
    if test is not None and not (isinstance(test, tuple) and len(test) == 2):
        raise UsageError(f"test must be a pair of inputs and targets, not {type(test).__name__}")
    return test


def _with_columns(x: Any, columns: list[str]) -> pd.DataFrame:
    """A data frame with these columns of the data frame ``x``, or with the array ``x`` under these names."""
    import pandas as pd

    if not hasattr(x, "columns"):
        array = np.asarray(x)
        if array.ndim != 2 or array.shape[1] != len(columns):
            raise UsageError(f"expected a table with {len(columns)} columns, not shape {array.shape}")
        return pd.DataFrame(array, columns=columns)
    frame: pd.DataFrame = x.reset_index(drop=True).set_axis(list(map(str, x.columns)), axis=1)
    for name in columns:
        if name not in frame.columns:
            raise UsageError(f"the test part has no column {name!r}; {nearest(name, frame.columns)}")
    return frame[columns]


def _target_names(y: Any, columns: list[str]) -> tuple[str, ...]:
    """The targets' names: those of the series or data frame ``y``; for arrays "target" or "target 0", …"""
    shape = np.shape(y)
    if len(shape) not in (1, 2):
        raise UsageError(f"targets must have the shape (rows,) or (rows, outputs), not {shape}")
    if len(shape) == 1:
        names = [str(getattr(y, "name", None) or "target")]
    else:
        names = [str(name) for name in getattr(y, "columns", [f"target {i}" for i in range(shape[1])])]
    for name in names:
        if name in columns:
            raise UsageError(
                f"the target {name!r} is also a column of x: leave the column out of x, "
                f"or name the column, fit(x, {name!r})"
            )
        if names.count(name) > 1:
            raise UsageError(f"{names.count(name)} targets are called {name!r}")
    return tuple(names)


def _joined(x: Any, columns: list[str], y: Any, targets: tuple[str, ...]) -> pd.DataFrame:
    """The inputs and the targets as one data frame. Rows are matched by position, not by index."""
    import pandas as pd

    frame = _with_columns(x, columns)
    values = y if hasattr(y, "iloc") else np.asarray(y)
    if len(values) != len(frame) or np.ndim(values) not in (1, 2):
        raise UsageError(
            f"x has {len(frame):,} rows and y has the shape {np.shape(y)}; expected equally many"
        )
    right = pd.DataFrame(values).reset_index(drop=True)
    if right.shape[1] != len(targets):
        raise UsageError(f"expected {len(targets)} targets in the test part, not {right.shape[1]}")
    return pd.concat([frame, right.set_axis(list(targets), axis=1)], axis=1)


def _row_weights(weights: Any, rows: list[int]) -> NDArray[np.float64]:
    """The weights of all rows: the given weights for the training rows, and 1 for every test row."""
    array = np.asarray(weights, np.float64)
    if array.shape != (rows[0],):
        raise UsageError(f"expected one weight for each of {rows[0]:,} rows, not the shape {array.shape}")
    return np.concatenate([array, np.ones(sum(rows[1:]))])
