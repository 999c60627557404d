"""The initializer ``zeros``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Initializer, Parameter, register


@register("zeros")
class Zeros(Initializer):
    """All zeros, the usual start of biases.

    w = 0
    """

    def fill(self, out: Array, parameter: Parameter, rng: np.random.Generator) -> None:
        out[...] = 0
