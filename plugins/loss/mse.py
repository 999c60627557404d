"""The loss ``mse``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Context, Loss, register

from ._shared import true_elements


@register("mse")
class MeanSquaredError(Loss):
    """Mean squared error, over the batch and over the outputs.

    l = Σ (o − t)² / (batch · outputs),  ∂l/∂o = 2 (o − t) / (batch · outputs)

    The mean over both is what mean_squared_error of scikit-learn and MSELoss of PyTorch compute; the
    paper has ½ Σ (o − t)². o and the target t are (batch, outputs): values, or 0 or 1 for each class; class
    numbers (batch,) as the target stand for one-hot rows.

    Source: Rumelhart, Hinton, Williams 1986, "Learning representations by back-propagating errors".
    """

    tasks = ("classification", "multilabel", "regression")
    measures_distance = True
    takes_probabilities = True

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        error = output - target
        return (error**2).mean(-1), 2 * error / error.shape[-1]

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        outputs, flat = output.shape[-1], d_output.reshape(-1)
        classes = target.ndim < output.ndim
        index, locate = true_elements(output, target)
        mean, twice = np.array(1 / outputs, output.dtype), np.array(2 / outputs, output.dtype)

        def run() -> None:
            if classes:
                locate()
                np.copyto(d_output, output)
                flat[index] -= 1
            else:
                np.subtract(output, target, d_output)
            np.vecdot(d_output, d_output, losses)
            np.multiply(losses, mean, losses)
            np.multiply(d_output, twice, d_output)

        return run
