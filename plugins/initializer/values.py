"""The initializer ``values``."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpframe.api import Array, Initializer, Parameter, UsageError, register


@register("values")
class Values(Initializer):
    """Numbers written in the configuration, for an example worked by hand.

    w = values

    Options:
        values: rows of numbers, of the parameter's shape. For W: a row for each input, with one number for
            each unit.
    """

    def __init__(self, *, values: list[Any]) -> None:
        try:
            self.values = np.array(values, np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"values must be rows of numbers of equal length, not {values}") from error

    def fill(self, out: Array, parameter: Parameter, rng: np.random.Generator) -> None:
        if self.values.shape != parameter.shape:
            raise UsageError(
                f"values of shape {self.values.shape} are given for a parameter of shape {parameter.shape}"
            )
        out[...] = self.values
