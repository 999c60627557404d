"""The loss ``quantile``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Context, Loss, check_range, register


@register("quantile")
class Quantile(Loss):
    """Pinball loss, averaged over the outputs; it fits a quantile of the target.

    l = Σ max(q (t − o), (1 − q) (o − t)) / outputs,  ∂l/∂o = (1 − q where o > t, −q where o < t) / outputs

    At the kink, o = t, the subgradient taken is 0. With q = ½ this is half the loss mae. o and the target t
    are (batch, outputs).

    Options:
        quantile: q, the share of the targets that should lie below the output, more than 0 and less than 1.

    Source: Koenker, Bassett 1978, "Regression quantiles".
    """

    tasks = ("regression",)
    measures_distance = True
    examples = ({"quantile": 0.9}, {"quantile": 0.05})

    def __init__(self, *, quantile: float = 0.5) -> None:
        check_range("quantile", quantile, above=0, below=1)
        self.quantile = quantile

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        o, t, q = output, target, self.quantile
        losses = np.maximum(q * (t - o), (1 - q) * (o - t)).mean(-1)
        return losses, ((1 - q) * (o > t) - q * (o < t)) / o.shape[-1]

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        error, below = ctx.array(*output.shape), np.empty(output.shape, bool)
        q, outputs = self.quantile, output.shape[-1]
        zero, over, under = (
            np.array(number, output.dtype) for number in (0, (1 - q) / outputs, -q / outputs)
        )

        def run() -> None:
            np.subtract(output, target, error)
            np.sign(error, d_output)
            np.multiply(d_output, over, d_output)
            np.less(error, zero, below)
            np.copyto(d_output, under, where=below)
            np.vecdot(error, d_output, losses)

        return run
