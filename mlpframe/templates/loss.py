"""The loss ``template``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Context, Loss, check_range, register


@register("template")
class Template(Loss):
    """Squared error of values, with a weight, halved and summed over the outputs.

    l = scale · ½ Σ_j (o_j − t_j)²,  ∂l/∂o_j = scale · (o_j − t_j)

    o and the target t are (batch, outputs); the mean is over the batch.

    Options:
        scale: what the loss is multiplied by, more than 0.
    """

    tasks = ("regression",)

    def __init__(self, *, scale: float = 1.0) -> None:
        check_range("scale", scale, above=0)
        self.scale = scale

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        scale = self.scale

        def run() -> None:
            np.subtract(output, target, d_output)
            np.vecdot(d_output, d_output, losses)
            np.multiply(losses, scale / 2, losses)
            np.multiply(d_output, scale, d_output)

        return run
