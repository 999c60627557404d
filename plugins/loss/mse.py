"""The loss ``mse``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Context, Loss, register


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

    def bind(self, output: Array, d_output: Array, target: Array, ctx: Context) -> Callable[[], float]:
        batch, outputs = output.shape
        offsets = np.arange(batch) * outputs
        index = np.empty(batch, np.intp)
        flat = d_output.reshape(-1)
        classes = target.ndim == 1
        mean = 1 / output.size

        def run() -> float:
            if classes:
                np.add(offsets, target, index)
                np.copyto(d_output, output)
                flat[index] -= 1
            else:
                np.subtract(output, target, d_output)
            total = float(np.dot(flat, flat))
            np.multiply(d_output, 2 * mean, d_output)
            return total * mean

        return run
