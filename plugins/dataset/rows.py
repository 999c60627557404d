"""The dataset ``rows``."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpframe.api import DataContext, Dataset, Preparation, Splits, Table, check_range, register


@register("rows")
class Rows(Dataset):
    """A few rows written in the configuration, for an example worked by hand.

    Options:
        x: the inputs, a list of numbers for each row.
        y: the targets. For a classification: a class number for each row. For multilabel: for each row a
            list with 0 or 1 for each class. For a regression, classes=0: a list of values for each row.
        classes: number of classes, at least 0; 0: a regression.
    """

    shared = Preparation(validation=0, test=0)

    def __init__(self, *, x: list[Any] = [[1, -1]], y: list[Any] = [0], classes: int = 2) -> None:  # noqa: B006
        check_range("classes", classes, minimum=0)
        try:
            self.x = np.array(x, np.float64)
            self.y = np.array(y, np.intp if classes else np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"x and y must be rows of numbers of equal length, not {x} and {y}") from error
        self.classes = classes

    def load(self, context: DataContext) -> Splits:
        return Splits(Table(self.x, self.y), class_names=tuple(map(str, range(self.classes))))
