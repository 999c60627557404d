"""The layer ``kit_mix``."""

import numpy as np

from mlpframe.api import Bound, Layer, Parameter, check_range, register


@register("kit_mix")
class Mix(Layer):
    """Mixes the features: an affine map with as many outputs as inputs.

    y = gain · x W + b,  ∂l/∂W = gain · xᵀ ∂l/∂y,  ∂l/∂b = Σ_batch ∂l/∂y,  ∂l/∂x = gain · ∂l/∂y Wᵀ

    Options:
        gain: factor of the mixture, more than 0 and at most 10.
    """

    def __init__(self, *, gain: float = 0.5) -> None:
        check_range("gain", gain, above=0, maximum=10)
        self.gain = gain

    def n_out(self, n_in):
        return n_in

    def parameters(self, n_in):
        return {"W": Parameter((n_in, n_in), "glorot", n_in, n_in, decay=True), "b": Parameter((n_in,))}

    def textbook(self, x, p, ctx):
        k = self.gain
        return k * x @ p["W"] + p["b"], lambda dy: (k * dy @ p["W"].T, {"W": k * x.T @ dy, "b": dy.sum(0)})

    def bind(self, x, dx, p, g, ctx):
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        W, b, gW, gb, gain = p["W"], p["b"][..., None, :], g["W"], g["b"], self.gain
        xT, WT = x.swapaxes(-1, -2), W.swapaxes(-1, -2)

        def forward():
            np.matmul(x, W, y)
            np.multiply(y, gain, y)
            np.add(y, b, y)

        def backward():
            np.matmul(xT, dy, gW)
            np.multiply(gW, gain, gW)
            np.add.reduce(dy, -2, out=gb)
            if dx is not None:
                np.matmul(dy, WT, dx)
                np.multiply(dx, gain, dx)

        return Bound(y, dy, forward, backward)

    def onnx(self, graph, x, n_in, p, state):
        return graph.node("Gemm", x, p["W"], p["b"], alpha=self.gain)
