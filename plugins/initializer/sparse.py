"""The initializer ``sparse``."""

from __future__ import annotations

from math import inf

import numpy as np

from mlpframe.api import Array, Initializer, Parameter, check_range, register


@register("sparse")
class Sparse(Initializer):
    """A few incoming weights for each unit, whatever the number of inputs; all others are 0.

    W[i, j] ~ N(0, std²) for ``connections`` random inputs i of each unit j,  0 for the others

    A unit's weighted sum has the same scale with many inputs as with few. A unit with fewer inputs than
    ``connections`` gets a weight for each input. PyTorch's version is given the fraction of zeros instead of
    the number of weights. If a parameter has more than two axes, each matrix over the last two axes is drawn
    independently. A vector is all zeros, like initial biases.

    Options:
        connections: weights of each unit that are not 0, at least 1.
        std: standard deviation of these weights, above 0.

    Source: Martens 2010, "Deep learning via Hessian-free optimization".
    """

    def __init__(self, *, connections: int = 15, std: float = 1.0) -> None:
        check_range("connections", connections, minimum=1)
        check_range("std", std, above=0, below=inf)
        self.connections, self.std = connections, std

    def fill(self, out: Array, parameter: Parameter, rng: np.random.Generator) -> None:
        out[...] = 0
        if out.ndim < 2:
            return
        number = min(self.connections, out.shape[-2])
        # For each unit, every input gets a random key. The inputs with the smallest keys are a random subset.
        inputs = rng.random(out.shape).argpartition(number - 1, -2)[..., :number, :]
        np.put_along_axis(out, inputs, self.std * rng.standard_normal(inputs.shape), -2)
