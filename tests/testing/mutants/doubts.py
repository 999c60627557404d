"""The loss ``kit_doubts``."""

import numpy as np

from mlpframe.api import Loss, register


@register("kit_doubts")
class Doubts(Loss):
    """Negative log-likelihood of each class on its own, from probabilities p.

    l = −Σ_i log(1 − |p_i − t_i|),  ∂l/∂p_i = sign(p_i − t_i) / (1 − |p_i − t_i|)

    Where 1 − |p_i − t_i| is below 1e-6, it counts as 1e-6.
    """

    tasks = ("multilabel",)

    def textbook(self, output, target):
        error = output - target
        likelihood = np.maximum(1 - np.abs(error), 1e-6)
        return -np.log(likelihood).sum(-1), np.sign(error) / likelihood

    def rows(self, output, d_output, target, losses, ctx):
        likelihood = ctx.array(*output.shape)

        def run():
            np.subtract(output, target, d_output)
            np.abs(d_output, likelihood)
            np.subtract(1, likelihood, likelihood)
            np.maximum(likelihood, 1e-6, out=likelihood)
            np.sign(d_output, d_output)
            np.divide(d_output, likelihood, d_output)
            np.log(likelihood, likelihood)
            np.add.reduce(likelihood, -1, out=losses)
            np.negative(losses, losses)

        return run
