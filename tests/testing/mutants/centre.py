"""The layer ``kit_centre``."""

import numpy as np

from mlpframe.api import Bound, Layer, register


@register("kit_centre")
class Centre(Layer):
    """Subtracts the mean of every feature over the batch.

    y = x − x̄,  ∂l/∂x = ∂l/∂y − its mean over the batch

    In evaluation x̄ is the running mean r ← 0.9 r + 0.1 x̄, kept while training, and ∂l/∂x = ∂l/∂y.
    """

    def state(self, n_in):
        return {"mean": np.zeros(n_in)}

    def textbook(self, x, p, ctx):
        r = ctx.state["mean"]
        if not ctx.training:
            return x - r, lambda dy: (dy, {})
        r[:] = 0.9 * r + 0.1 * x.mean(0)
        return x - x.mean(0), lambda dy: (dy - dy.mean(0), {})

    def bind(self, x, dx, p, g, ctx):
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        row = ctx.array(*x.shape[:-2], x.shape[-1])
        running, training = ctx.state["mean"], ctx.training

        def forward():
            if training:
                np.add.reduce(x, -2, out=row)
                np.divide(row, x.shape[-2], row)
                np.subtract(x, row[..., None, :], y)
                np.multiply(running, 0.9, running)
                np.multiply(row, 0.1, row)
                np.add(running, row, running)
            else:
                np.subtract(x, running[..., None, :], y)

        def backward():
            if dx is not None:
                np.copyto(dx, dy)
                if training:
                    np.add.reduce(dy, -2, out=row)
                    np.divide(row, x.shape[-2], row)
                    np.subtract(dx, row[..., None, :], dx)

        return Bound(y, dy, forward, backward)

    def onnx(self, graph, x, n_in, p, state):
        return graph.node("Sub", x, state["mean"])
