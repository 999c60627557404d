"""The initializer ``constant``."""

from __future__ import annotations

from math import inf

import numpy as np

from mlpframe.api import Array, Initializer, Parameter, check_range, register


@register("constant")
class Constant(Initializer):
    """The same number everywhere.

    w = value

    Equal weights get equal gradients, so all units of a layer would stay equal in training. Use this
    initializer for biases and scales, or to demonstrate that equal units learn nothing useful.

    Options:
        value: the number, finite.
    """

    def __init__(self, *, value: float = 1.0) -> None:
        check_range("value", value, above=-inf, below=inf)
        self.value = value

    def fill(self, out: Array, parameter: Parameter, rng: np.random.Generator) -> None:
        out[...] = self.value
