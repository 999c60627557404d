"""The loss ``cross_entropy``."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, prod

import numpy as np

from mlpframe.api import Array, Context, Loss, Means, means, register


@register("cross_entropy")
class CrossEntropy(Loss):
    """Softmax and negative log-likelihood in one, from logits o.

    l = log Σ_j exp o_j − o_c for the true class c, averaged over the batch;
    ∂l/∂o_i = (softmax(o)_i − δ_ic) / batch

    The largest logit is subtracted first, so nothing overflows. o is (batch, classes), the target
    (batch,).

    Source: Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs".
    """

    tasks = ("classification",)

    def bind(self, output: Array, d_output: Array, target: Array, ctx: Context) -> Callable[[], Means]:
        if output.ndim == 2 and len(output) == 1:
            return self._bind_row(output[0], d_output[0], target)
        *rows, classes = output.shape
        offsets = np.arange(prod(rows)).reshape(rows) * classes
        index = np.empty(rows, np.intp)
        flat, flat_index = d_output.reshape(-1), index.reshape(-1)
        column = ctx.array(*rows, 1)
        top = column[..., 0]
        at_target = ctx.array(*rows)
        flat_at_target = at_target.reshape(-1)
        one = np.array(1, output.dtype)
        mean = np.array(1 / rows[-1], output.dtype)

        def run() -> Means:
            np.add(offsets, target, index)
            np.maximum.reduce(output, -1, out=top)
            np.subtract(output, column, d_output)
            flat.take(flat_index, 0, flat_at_target, "clip")
            np.exp(d_output, d_output)
            np.add.reduce(d_output, -1, out=top)
            np.divide(d_output, column, d_output)
            flat[flat_index] -= one
            if rows[-1] > 1:
                np.multiply(d_output, mean, d_output)
            np.log(top, top)
            np.subtract(top, at_target, top)
            return means(np.add.reduce(top, -1), 1 / rows[-1])

        return run

    @staticmethod
    def _bind_row(output: Array, d_output: Array, target: Array) -> Callable[[], float]:
        """The same for a batch of one: ten numbers are cheaper as Python floats than in array calls."""

        def run() -> float:
            logits: list[float] = output.tolist()
            top = max(logits)
            powers = [exp(logit - top) for logit in logits]
            total = sum(powers)
            c: int = target.item()
            gradient = [power / total for power in powers]
            gradient[c] -= 1
            d_output[:] = gradient
            return log(total) + top - logits[c]

        return run

    def predict(self, output: Array) -> Array:
        powers = np.exp(output - output.max(-1, keepdims=True))
        probabilities: Array = powers / powers.sum(-1, keepdims=True)
        return probabilities
