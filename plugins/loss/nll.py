"""The loss ``nll``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Context, Loss, register


@register("nll")
class NegativeLogLikelihood(Loss):
    """Negative log-likelihood of the true class, from probabilities y such as the layer softmax gives.

    l = −log y_c for the true class c, averaged over the batch;
    ∂l/∂y_c = −1 / (batch · y_c), and 0 for the other classes

    A y_c below the smallest positive normal number of its dtype (1.2e-38 in float32, 2.2e-308 in
    float64) counts as that number, in both formulas, so that both stay finite. Softmax then passes on
    hardly any gradient or none: cross_entropy, from logits, does not have that weakness. y is (batch,
    classes), the target (batch,).

    Source: Bishop 1995, "Neural Networks for Pattern Recognition".
    """

    tasks = ("classification",)

    def bind(self, output: Array, d_output: Array, target: Array, ctx: Context) -> Callable[[], float]:
        batch, classes = output.shape
        offsets = np.arange(batch) * classes
        index = np.empty(batch, np.intp)
        flat, d_flat = output.reshape(-1), d_output.reshape(-1)
        at_target, d_at_target = ctx.array(batch), ctx.array(batch)
        smallest = np.finfo(output.dtype).smallest_normal
        mean: float = 1 / batch

        def run() -> float:
            np.add(offsets, target, index)
            flat.take(index, 0, at_target, "clip")
            np.maximum(at_target, smallest, out=at_target)
            np.divide(-mean, at_target, d_at_target)
            d_output.fill(0)
            d_flat[index] = d_at_target
            np.log(at_target, at_target)
            return -float(np.add.reduce(at_target)) * mean

        return run
