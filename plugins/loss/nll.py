"""The loss ``nll``."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from mlpframe.api import Array, Context, Loss, Means, means, register


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

    def bind(self, output: Array, d_output: Array, target: Array, ctx: Context) -> Callable[[], Means]:
        *rows, classes = output.shape
        offsets = np.arange(prod(rows)).reshape(rows) * classes
        index = np.empty(rows, np.intp)
        flat_index = index.reshape(-1)
        flat, d_flat = output.reshape(-1), d_output.reshape(-1)
        at_target, d_at_target = ctx.array(*rows), ctx.array(prod(rows))
        flat_at_target = at_target.reshape(-1)
        smallest = np.finfo(output.dtype).smallest_normal
        mean = 1 / rows[-1]

        def run() -> Means:
            np.add(offsets, target, index)
            flat.take(flat_index, 0, flat_at_target, "clip")
            np.maximum(at_target, smallest, out=at_target)
            np.divide(-mean, flat_at_target, d_at_target)
            d_output.fill(0)
            d_flat[flat_index] = d_at_target
            np.log(at_target, at_target)
            return means(np.add.reduce(at_target, -1), -mean)

        return run
