"""One measurement: a contender learns a split of a table, predicts its test rows, and gets a score."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .catalog import Entry, Task, split

SMALLEST = 1e-15
"""Smaller probabilities are raised to this one, so that one mistake cannot make the log loss infinite."""


@dataclass(frozen=True)
class Prediction:
    """A contender's predictions for the test rows.

    ``values``: numbers for a regression, classes as text for a classification; NaN if training diverged.
    ``probabilities``: for a classification, a column for each class.
    """

    values: NDArray[Any]
    probabilities: pd.DataFrame | None = None


Contender = Callable[[pd.DataFrame, pd.DataFrame, str, Task, int], Prediction]
"""A function of the training rows, the test rows without target, the target's name, the task and the seed."""


@dataclass(frozen=True)
class Result:
    """The result of one contender on one split of a table.

    ``score`` is the accuracy of a classification (more is better) and the root mean squared error of a
    regression (less is better). A contender that diverged has no score.
    """

    table: str
    split: int
    contender: str
    rows: int
    columns: int
    seconds: float
    score: float | None
    log_loss: float | None

    @property
    def diverged(self) -> bool:
        return self.score is None


def run(entry: Entry, frame: pd.DataFrame, seed: int, name: str, contender: Contender) -> Result:
    """Let a contender learn the training rows of a split and predict its test rows. Returns the score."""
    train, test = split(entry, frame, seed)
    truth = test[entry.target].to_numpy()
    began = time.perf_counter()
    prediction = contender(train, test.drop(columns=entry.target), entry.target, entry.task, seed)
    seconds = time.perf_counter() - began
    if entry.task == "classification":
        score = float(np.mean(prediction.values == truth))
        loss = None if prediction.probabilities is None else log_loss(truth, prediction.probabilities)
    else:
        score, loss = root_mean_square(prediction.values - truth), None
    lost = any(value is not None and not math.isfinite(value) for value in (score, loss))
    return Result(
        table=entry.name,
        split=seed,
        contender=name,
        rows=len(frame),
        columns=frame.shape[1] - 1,
        seconds=round(seconds, 3),
        score=None if lost else score,
        log_loss=None if lost else loss,
    )


def log_loss(truth: NDArray[Any], probabilities: pd.DataFrame) -> float:
    """Minus the mean logarithm of the true class's probability.

    A class that was not among the training rows has the probability 0. The result is NaN if a probability is.
    """
    columns = probabilities.columns.get_indexer(pd.Index(truth))
    table = np.column_stack([probabilities.to_numpy(float), np.zeros(len(truth))])  # last: unseen classes
    return -float(np.mean(np.log(np.maximum(table[np.arange(len(truth)), columns], SMALLEST))))


def root_mean_square(errors: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(errors.astype(float)))))
