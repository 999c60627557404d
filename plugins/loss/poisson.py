"""The loss ``poisson``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Context, Graph, Loss, register


@register("poisson")
class Poisson(Loss):
    """Negative log-likelihood of counts, from the logs o of their rates, averaged over the outputs.

    l = Σ (exp o − t o) / outputs,  ∂l/∂o = (exp o − t) / outputs

    The term log t! of the likelihood, which does not depend on o, is left out, as in PyTorch's PoissonNLLLoss
    with full=False; so the loss may be below 0. This loss minus its minimum, which is at o = log t, is half
    of scikit-learn's mean Poisson deviance. Predictions are the rates exp o. o and the counts t, at least 0,
    are (batch, outputs). A rate that the dtype cannot hold (o above 88 in float32, 709 in float64) counts as
    divergence.

    Source: Nelder, Wedderburn 1972, "Generalized linear models".
    """

    tasks = ("regression",)

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        o, t = output, target
        return (np.exp(o) - t * o).mean(-1), (np.exp(o) - t) / o.shape[-1]

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        products, share = ctx.array(*losses.shape), np.array(1 / output.shape[-1], output.dtype)

        def run() -> None:
            np.exp(output, d_output)
            np.add.reduce(d_output, -1, out=losses)
            np.vecdot(output, target, products)
            np.subtract(losses, products, losses)
            np.multiply(losses, share, losses)
            np.subtract(d_output, target, d_output)
            np.multiply(d_output, share, d_output)

        return run

    def predict(self, output: Array) -> Array:
        rates: Array = np.exp(output)
        return rates

    def onnx(self, graph: Graph, output: str) -> str:
        return graph.node("Exp", output)
