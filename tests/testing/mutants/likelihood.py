"""The loss ``kit_likelihood``."""

import numpy as np

from mlpframe.api import Loss, register


@register("kit_likelihood")
class Likelihood(Loss):
    """Negative log-likelihood of the true class, from logits.

    l = log Σ_j exp o_j − o_c,  ∂l/∂o_i = exp o_i / Σ_j exp o_j − [i = c]
    """

    tasks = ("classification",)

    def textbook(self, output, target):
        onehot = np.eye(output.shape[1])[target]
        total = np.exp(output).sum(1)
        return np.log(total) - (onehot * output).sum(1), np.exp(output) / total[:, None] - onehot

    def rows(self, output, d_output, target, losses, ctx):
        classes = output.shape[-1]
        top, column = ctx.array(*output.shape[:-1], 1), ctx.array(*output.shape[:-1], 1)
        offsets = np.arange(losses.size).reshape(losses.shape) * classes
        index = np.empty(losses.shape, np.intp)

        def run():
            np.add(offsets, target, index)
            np.maximum.reduce(output, -1, out=top, keepdims=True)
            np.subtract(output, top, d_output)
            d_output.take(index, out=losses, mode="clip")
            np.exp(d_output, d_output)
            np.add.reduce(d_output, -1, out=column, keepdims=True)
            np.divide(d_output, column, d_output)
            d_output.reshape(-1)[index.reshape(-1)] -= 1
            np.log(column, column)
            np.subtract(column[..., 0], losses, losses)

        return run

    def predict(self, output):
        powers = np.exp(output - output.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)

    def onnx(self, graph, output):
        return graph.node("Softmax", output)
