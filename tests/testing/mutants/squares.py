"""The loss ``kit_squares``."""

import numpy as np

from mlpframe.api import Loss, register


@register("kit_squares")
class Squares(Loss):
    """Squared error, averaged over the outputs.

    l = Σ_j (o_j − t_j)² / outputs,  ∂l/∂o_j = 2 (o_j − t_j) / outputs
    """

    tasks = ("regression",)

    def textbook(self, output, target):
        error = output - target
        return (error**2).mean(1), 2 * error / error.shape[1]

    def rows(self, output, d_output, target, losses, ctx):
        outputs = output.shape[-1]

        def run():
            np.subtract(output, target, d_output)
            np.vecdot(d_output, d_output, losses)
            np.divide(losses, outputs, losses)
            np.multiply(d_output, 2 / outputs, d_output)

        return run
