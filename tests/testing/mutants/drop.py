"""The layer ``kit_drop``."""

import numpy as np

from mlpframe.api import Bound, Layer, check_range, register


@register("kit_drop")
class Drop(Layer):
    """Sets a random share of the numbers to 0 while training.

    y = m x / (1 − rate) with m = 1 with probability 1 − rate, else 0, in training;  y = x in evaluation

    Options:
        rate: the share that is dropped, at least 0 and below 1.
    """

    examples = ({"rate": 0.2}, {"rate": 0.0})

    def __init__(self, *, rate: float = 0.5) -> None:
        check_range("rate", rate, minimum=0, below=1)
        self.rate = rate

    def textbook(self, x, p, ctx):
        if not ctx.training:
            return x, lambda dy: (dy, {})
        m = (ctx.rng.random(x.shape, x.dtype) >= self.rate) / (1 - self.rate)
        return m * x, lambda dy: (m * dy, {})

    def bind(self, x, dx, p, g, ctx):
        y, dy, mask = (ctx.array(*x.shape) for _ in range(3))
        scale, rate, active = 1 / (1 - self.rate), self.rate, ctx.training
        rng = ctx.rng if active else None

        def forward():
            if active:
                rng.random(out=mask, dtype=mask.dtype)
                np.greater_equal(mask, rate, mask)
                np.multiply(mask, scale, mask)
            else:
                mask.fill(1)
            np.multiply(x, mask, y)

        def backward():
            if dx is not None:
                np.multiply(dy, mask, dx)

        return Bound(y, dy, forward, backward)

    def onnx(self, graph, x, n_in, p, state):
        return x
