"""The initializer ``uniform``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Initializer, Parameter, check_range, register


@register("uniform")
class Uniform(Initializer):
    """Independent uniform numbers with mean 0.

    w ~ U(−bound, bound), of variance bound² / 3

    Options:
        bound: the largest absolute value of a number, at least 0.
    """

    def __init__(self, *, bound: float = 1.0) -> None:
        check_range("bound", bound, minimum=0)
        self.bound = bound

    def fill(self, out: Array, parameter: Parameter, rng: np.random.Generator) -> None:
        rng.random(out=out)
        out -= 0.5
        out *= 2 * self.bound
