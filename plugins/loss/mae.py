"""The loss ``mae``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Context, Loss, register


@register("mae")
class MeanAbsoluteError(Loss):
    """Mean absolute error, over the batch and over the outputs; it fits the median of the target.

    l = Σ |o − t| / outputs,  ∂l/∂o = sign(o − t) / outputs

    At the kink, o = t, the subgradient taken is 0. o and the target t are (batch, outputs).

    Source: Boscovich 1757, after Stigler 1986, "The history of statistics".
    """

    tasks = ("regression",)
    measures_distance = True

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        error = output - target
        return np.abs(error).mean(-1), np.sign(error) / error.shape[-1]

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        error = ctx.array(*output.shape)
        share = np.array(1 / output.shape[-1], output.dtype)

        def run() -> None:
            np.subtract(output, target, error)
            np.sign(error, d_output)
            np.multiply(d_output, share, d_output)
            np.vecdot(error, d_output, losses)

        return run
