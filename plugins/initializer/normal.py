"""The initializer ``normal``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Initializer, Parameter, check_range, register


@register("normal")
class Normal(Initializer):
    """Independent normal numbers with mean 0.

    w ~ N(0, std²)

    Options:
        std: standard deviation, at least 0.
    """

    def __init__(self, *, std: float = 1.0) -> None:
        check_range("std", std, minimum=0)
        self.std = std

    def fill(self, out: Array, parameter: Parameter, rng: np.random.Generator) -> None:
        rng.standard_normal(out=out)
        out *= self.std
