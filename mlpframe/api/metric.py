"""What a metric implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from math import nan
from typing import Any, ClassVar

import numpy as np

from .component import Array, Task


class Metric(ABC):
    """A figure of merit of predictions.

    Predictions with NaN among them have a figure of NaN, and an array metric one of its usual shape with NaN
    in every place: ``compute`` of a metric is not asked about them.
    """

    kind: ClassVar[str] = "metric"
    name: ClassVar[str]
    tasks: ClassVar[tuple[Task, ...]]
    scalar: ClassVar[bool] = True
    """Whether the result is a number, computed after every epoch, or an array, computed at the end."""
    columns: ClassVar[tuple[str, ...]] = ()
    """What the columns of an array are where they are not the classes; its rows are."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "compute" in vars(cls):
            cls.compute = _nan_of_nan(cls.compute)  # type: ignore[assignment, method-assign]

    @abstractmethod
    def compute(self, prediction: Array, target: Array) -> Any:
        """From ``Loss.predict``'s ``(n, n_outputs)`` and the targets, a float or an array."""


def _nan_of_nan(compute: Callable[[Any, Array, Array], Any]) -> Callable[[Any, Array, Array], Any]:
    """The same, but NaN where a prediction is: ``argmax`` would take NaN for the most probable class."""

    @wraps(compute)
    def computed(self: Metric, prediction: Array, target: Array) -> Any:
        if not np.isnan(prediction).any():
            return compute(self, prediction, target)
        if self.scalar:
            return nan
        return np.full(np.shape(compute(self, np.zeros_like(prediction), target)), nan)

    return computed
