"""One contender on one split of one table: what it is given, what it answers, how the answer is scored."""

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
"""A probability below this counts as this, so that one sure mistake does not make the log loss infinite."""


@dataclass(frozen=True)
class Prediction:
    """What a contender says of the test rows.

    ``values`` are numbers, or the classes as text; then ``probabilities`` has a column for each class. A
    contender whose training diverged says NaN.
    """

    values: NDArray[Any]
    probabilities: pd.DataFrame | None = None


Contender = Callable[[pd.DataFrame, pd.DataFrame, str, Task, int], Prediction]
"""Called with the training rows, the test rows without the target, the target's name, the task, the seed."""


@dataclass(frozen=True)
class Result:
    """One contender on one split.

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
    """Let a contender learn the training rows of a split and predict its test rows."""
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

    A class that the contender has not seen has the probability 0. NaN if any probability is NaN.
    """
    columns = probabilities.columns.get_indexer(pd.Index(truth))
    table = np.column_stack([probabilities.to_numpy(float), np.zeros(len(truth))])  # column -1: unseen
    return -float(np.mean(np.log(np.maximum(table[np.arange(len(truth)), columns], SMALLEST))))


def root_mean_square(errors: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(errors.astype(float)))))
