"""The initializer ``identity``."""

from __future__ import annotations

from math import inf

import numpy as np

from mlpframe.api import Array, Initializer, Parameter, check_range, register


@register("identity")
class Identity(Initializer):
    """The identity matrix: at first every layer passes on its inputs unchanged.

    W[i, i] = gain,  all others 0

    If W is not square, its remaining rows are zeros (inputs that no unit uses), or its remaining columns are
    zeros (units whose weights are all 0). If a parameter has more than two axes, each matrix over the last
    two axes is filled in this way. A vector is all zeros, like initial biases.

    Options:
        gain: the number on the diagonal, finite.

    Source: Le, Jaitly, Hinton 2015, "A simple way to initialize recurrent networks of rectified linear
    units".
    """

    def __init__(self, *, gain: float = 1.0) -> None:
        check_range("gain", gain, above=-inf, below=inf)
        self.gain = gain

    def fill(self, out: Array, parameter: Parameter, rng: np.random.Generator) -> None:
        out[...] = self.gain * np.eye(*out.shape[-2:]) if out.ndim > 1 else 0
