"""The loss ``cross_entropy``."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log

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
        *stack, batch, classes = output.shape
        logits, gradient = output.reshape(-1, classes), d_output.reshape(-1, classes)  # views: contiguous
        rows = len(logits)
        offsets = np.arange(0, rows * classes, classes).reshape(*stack, batch)
        index = np.empty((*stack, batch), np.intp)
        flat, flat_index = d_output.reshape(-1), index.reshape(-1)
        column = ctx.array(rows, 1)
        top = column[:, 0]
        at_target = ctx.array(rows)
        losses = at_target.reshape(*stack, batch)
        one, mean = np.array(1, output.dtype), np.array(1 / batch, output.dtype)

        def run() -> Means:
            np.add(offsets, target, index)
            np.maximum.reduce(logits, 1, out=top)
            np.subtract(logits, column, gradient)
            flat.take(flat_index, 0, at_target, "clip")
            np.exp(gradient, gradient)
            np.add.reduce(gradient, 1, out=top)
            np.divide(gradient, column, gradient)
            flat[flat_index] -= one
            if batch > 1:
                np.multiply(gradient, mean, gradient)
            np.log(top, top)
            np.subtract(top, at_target, at_target)
            return means(np.add.reduce(losses, -1), 1 / batch)

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
        powers = np.exp(output - np.maximum.reduce(output, -1, keepdims=True))
        probabilities: Array = powers / np.add.reduce(powers, -1, keepdims=True)
        return probabilities
