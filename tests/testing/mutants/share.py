"""The layer ``kit_share``."""

import numpy as np

from mlpframe.api import Bound, Layer, register


@register("kit_share")
class Share(Layer):
    """Positive numbers that sum to 1, row by row.

    y_i = exp x_i / Σ_j exp x_j,  ∂l/∂x_i = y_i (∂l/∂y_i − Σ_j ∂l/∂y_j y_j)
    """

    def textbook(self, x, p, ctx):
        y = np.exp(x) / np.exp(x).sum(1, keepdims=True)
        return y, lambda dy: (y * (dy - (dy * y).sum(1, keepdims=True)), {})

    def bind(self, x, dx, p, g, ctx):
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        column = ctx.array(*x.shape[:-1], 1)
        output = [y]

        def forward():
            np.maximum.reduce(x, -1, out=column, keepdims=True)
            np.subtract(x, column, y)
            np.exp(y, y)
            np.add.reduce(y, -1, out=column, keepdims=True)
            np.divide(y, column, y)

        def backward():
            if dx is not None:
                np.vecdot(dy, output[0], column[..., 0])
                np.subtract(dy, column, dx)
                np.multiply(dx, output[0], dx)

        return Bound(y, dy, forward, backward)

    def onnx(self, graph, x, n_in, p, state):
        return graph.node("Softmax", x)
