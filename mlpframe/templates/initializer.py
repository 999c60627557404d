"""The initializer ``template``."""

from __future__ import annotations

from math import sqrt

import numpy as np

from mlpframe.api import Array, Initializer, Parameter, check_range, register


@register("template")
class Template(Initializer):
    """Independent normal numbers with a variance of gain² / fan_in.

    w ~ N(0, gain² / fan_in)

    Options:
        gain: factor of the standard deviation, more than 0.
    """

    def __init__(self, *, gain: float = 1.0) -> None:
        check_range("gain", gain, above=0)
        self.gain = gain

    def fill(self, out: Array, parameter: Parameter, rng: np.random.Generator) -> None:
        rng.standard_normal(out=out)
        out *= self.gain / sqrt(parameter.fan_in)
