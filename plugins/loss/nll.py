"""The loss ``nll``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Context, Loss, register

from ._shared import true_elements


@register("nll")
class NegativeLogLikelihood(Loss):
    """Negative log-likelihood of the true class, from probabilities y such as the layer softmax gives.

    l = −log y_c for the true class c,  ∂l/∂y_c = −1 / y_c, and 0 for the other classes

    A y_c below the smallest positive normal number of its dtype (1.2e-38 in float32, 2.2e-308 in float64)
    counts as that number, in both formulas, so that both stay finite. The layer softmax then passes on hardly
    any gradient, or none. The loss cross_entropy, which takes logits, does not have this weakness. y is
    (batch, classes), the target (batch,) class numbers.

    Source: Bishop 1995, "Neural Networks for Pattern Recognition".
    """

    tasks = ("classification",)

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        true = np.arange(output.shape[-1]) == target[:, None]
        y_c = np.maximum(output[true], np.finfo(output.dtype).smallest_normal)
        return -np.log(y_c), np.where(true, -1 / y_c[:, None], 0)

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        index, locate = true_elements(output, target)
        flat, d_flat, flat_losses = output.reshape(-1), d_output.reshape(-1), losses.reshape(-1)
        d_at_target = ctx.array(losses.size)
        smallest = np.finfo(output.dtype).smallest_normal

        def run() -> None:
            locate()
            flat.take(index, 0, flat_losses, "clip")
            np.maximum(losses, smallest, out=losses)
            np.divide(-1, flat_losses, d_at_target)
            d_output.fill(0)
            d_flat[index] = d_at_target
            np.log(losses, losses)
            np.negative(losses, losses)

        return run
