"""The loss ``log_cosh``."""

from __future__ import annotations

from collections.abc import Callable
from math import log

import numpy as np

from mlpframe.api import Array, Context, Loss, register

FAR = 20
"""Above this error e, log cosh e is |e| − log 2 to the last digit of float64: they differ by exp(−2 · 20)."""


@register("log_cosh")
class LogCosh(Loss):
    """Log of the hyperbolic cosine of the error, averaged over outputs: smooth, and linear for large errors.

    l = Σ log cosh(o − t) / outputs,  ∂l/∂o = tanh(o − t) / outputs

    log cosh e is close to ½ e² for a small error and to |e| − log 2 for a large one. The fast form computes
    log(1 + 2 sinh²(m/2)) + |e| − m with m = min(|e|, 20), which is exact near 0 and cannot overflow. o and
    the target t are (batch, outputs).

    Source: Green 1990, "Bayesian reconstructions from emission tomography data using a modified EM
    algorithm".
    """

    tasks = ("regression",)
    measures_distance = True

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        e = output - target
        log_cosh = np.logaddexp(e, -e) - log(2)  # log((exp e + exp(−e)) / 2)
        return log_cosh.mean(-1), np.tanh(e) / e.shape[-1]

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        error, near = ctx.array(*output.shape), ctx.array(*output.shape)
        # Further names of existing arrays: a name says what its array holds at that point.
        size = beyond = error
        sinh = square = log_cosh = near
        numbers = (FAR, 1 / 2, 2, 1 / output.shape[-1])
        far, half, two, share = (np.array(number, output.dtype) for number in numbers)

        def run() -> None:
            np.subtract(output, target, error)
            np.tanh(error, d_output)
            np.multiply(d_output, share, d_output)
            np.abs(error, size)
            np.minimum(size, far, out=near)
            np.subtract(size, near, beyond)
            np.multiply(near, half, near)
            np.sinh(near, sinh)
            np.multiply(sinh, sinh, square)
            np.multiply(square, two, square)
            np.log1p(square, log_cosh)
            np.add(log_cosh, beyond, log_cosh)
            np.add.reduce(log_cosh, -1, out=losses)
            np.multiply(losses, share, losses)

        return run
