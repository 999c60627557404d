"""The loss ``kl_divergence``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Context, Graph, Loss, register

from ._shared import distributions, softmax


@register("kl_divergence")
class KLDivergence(Loss):
    """Kullback-Leibler divergence of the softmax of logits o from the target probabilities t.

    l = Σ_i t_i (log t_i − log softmax(o)_i),  ∂l/∂o = softmax(o) − t

    A term with t_i = 0 counts as 0. This loss is cross_entropy minus the entropy of t, which does not depend
    on o. Both losses have the same derivative, but kl_divergence is 0 if the network is perfect. Class
    numbers stand for one-hot rows, whose entropy is 0. For class numbers the two losses are equal, and
    cross_entropy is faster. o is (batch, classes), the target (batch, classes) with rows that sum to 1, or
    class numbers (batch,). PyTorch's KLDivLoss with reduction="batchmean" is the same loss, but takes log
    softmax(o) instead of o.

    Source: Kullback, Leibler 1951, "On information and sufficiency".
    """

    tasks = ("classification",)
    takes_probabilities = True

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        t, o = target, output - output.max(-1, keepdims=True)
        log_softmax = o - np.log(np.exp(o).sum(-1, keepdims=True))
        log_t = np.log(np.where(t > 0, t, 1))  # t log t is 0 where t is 0
        return (t * (log_t - log_softmax)).sum(-1), np.exp(log_softmax) - t

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        t, update = distributions(output, target, ctx)
        shifted, log_t, column = (
            ctx.array(*output.shape),
            ctx.array(*output.shape),
            ctx.array(*losses.shape, 1),
        )
        # Further names of existing arrays: a name says what its array holds at that point.
        top = total = log_total = column[..., 0]
        powers = d_output
        log_softmax, log_ratio = shifted, log_t
        smallest = np.array(np.finfo(output.dtype).smallest_normal)

        def run() -> None:
            update()
            np.maximum.reduce(output, -1, out=top)
            np.subtract(output, column, shifted)
            np.exp(shifted, powers)
            np.add.reduce(powers, -1, out=total)
            np.divide(powers, column, d_output)
            np.log(total, log_total)
            np.subtract(shifted, column, log_softmax)
            # keeps the logarithm finite where t is 0: then t log t is 0 there
            np.maximum(t, smallest, out=log_t)
            np.log(log_t, log_t)
            np.subtract(log_t, log_softmax, log_ratio)
            np.vecdot(t, log_ratio, losses)
            np.subtract(d_output, t, d_output)

        return run

    def predict(self, output: Array) -> Array:
        return softmax(output)

    def onnx(self, graph: Graph, output: str) -> str:
        return graph.node("Softmax", output)
