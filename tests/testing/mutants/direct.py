"""The loss ``kit_direct``."""

import numpy as np

from mlpframe.api import Loss, register
from mlpframe.api.loss import means


@register("kit_direct")
class Direct(Loss):
    """Half of the squared error; the loss computes the mean over the batch itself.

    l = ½ Σ_j (o_j − t_j)²,  ∂l/∂o_j = o_j − t_j
    """

    tasks = ("regression",)

    def textbook(self, output, target):
        error = output - target
        return (error**2).sum(1) / 2, error

    def bind(self, output, d_output, target, ctx):
        batch = output.shape[-2]
        square, losses = ctx.array(*output.shape), ctx.array(*output.shape[:-1])
        weights = np.ones(output.shape[:-1], output.dtype) if ctx.weights is None else ctx.weights

        def run():
            np.subtract(output, target, d_output)
            np.vecdot(d_output, d_output, losses)
            np.multiply(losses, weights, losses)
            np.multiply(d_output, weights[..., None], square)
            np.divide(square, batch, d_output)
            return means(np.add.reduce(losses, -1), 0.5 / batch)

        return run
