"""The loss ``mse``."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from mlpframe.api import Array, Context, Loss, Means, means, register


@register("mse")
class MeanSquaredError(Loss):
    """Mean squared error, over the batch and over the outputs.

    l = Σ (o − t)² / (batch · outputs),  ∂l/∂o = 2 (o − t) / (batch · outputs)

    The mean over both is what mean_squared_error of scikit-learn and MSELoss of PyTorch compute; the
    paper has ½ Σ (o − t)². o and the target t are (batch, outputs); class numbers (batch,) as the
    target stand for one-hot rows.

    Source: Rumelhart, Hinton, Williams 1986, "Learning representations by back-propagating errors".
    """

    tasks = ("classification", "regression")

    def bind(self, output: Array, d_output: Array, target: Array, ctx: Context) -> Callable[[], Means]:
        *rows, outputs = output.shape
        offsets = np.arange(prod(rows)).reshape(rows) * outputs
        index = np.empty(rows, np.intp)
        flat, flat_index = d_output.reshape(-1), index.reshape(-1)
        batches = d_output.reshape(*rows[:-1], rows[-1] * outputs)
        classes = target.ndim < output.ndim
        mean = 1 / batches.shape[-1]
        twice = np.array(2 * mean, output.dtype)

        def run() -> Means:
            if classes:
                np.add(offsets, target, index)
                np.copyto(d_output, output)
                flat[flat_index] -= 1
            else:
                np.subtract(output, target, d_output)
            totals = np.vecdot(batches, batches)
            np.multiply(d_output, twice, d_output)
            return means(totals, mean)

        return run
