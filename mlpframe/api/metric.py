"""What a metric implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from math import nan
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .component import Array, Task

THRESHOLD = 0.5
"""The probability above which a class of a multilabel row is predicted."""


class Metric(ABC):
    """A measure of the quality of predictions.

    If predictions contain NaN, a scalar metric is NaN, and an array metric has its usual shape with NaN
    everywhere. The base class takes care of this: ``compute`` never gets NaN.
    """

    kind: ClassVar[str] = "metric"
    name: ClassVar[str]
    tasks: ClassVar[tuple[Task, ...]]
    scalar: ClassVar[bool] = True
    """Whether the result is a number, computed after every epoch, or an array, computed at the end."""
    columns: ClassVar[tuple[str, ...]] = ()
    """For an array: the names of its columns, if they are not the classes. Each row stands for a class."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "compute" in vars(cls):
            cls.compute = _nan_of_nan(cls.compute)  # type: ignore[assignment, method-assign]

    @abstractmethod
    def compute(self, prediction: Array, target: Array) -> Any:
        """A float or an array, from predictions ``(n, n_outputs)`` of ``Loss.predict`` and the targets.

        Args:
            prediction: class probabilities, or the values of a regression.
            target: for a classification, class numbers ``(n,)``. For multilabel, 0 or 1 for each class
                ``(n, n_outputs)``. For a regression, values ``(n, n_outputs)``.
        """


def multi_hot(prediction: Array) -> NDArray[np.intp]:
    """The classes that are predicted, if a row may have several: 1 where p > 0.5, else 0.

    Args:
        prediction: p, the probability of each class ``(…, classes)``.
    """
    return (prediction > THRESHOLD).astype(np.intp)


def _nan_of_nan(compute: Callable[[Any, Array, Array], Any]) -> Callable[[Any, Array, Array], Any]:
    """``compute``, except that NaN gives NaN: ``argmax`` would take NaN for the most probable class."""

    @wraps(compute)
    def computed(self: Metric, prediction: Array, target: Array) -> Any:
        if not np.isnan(prediction).any():
            return compute(self, prediction, target)
        if self.scalar:
            return nan
        return np.full(np.shape(compute(self, np.zeros_like(prediction), target)), nan)

    return computed
