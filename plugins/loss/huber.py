"""The loss ``huber``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Context, Loss, check_range, register


@register("huber")
class Huber(Loss):
    """Square of small errors, absolute value of large errors, averaged over the outputs.

    l = Σ h(o − t) / outputs,  h(e) = ½ e² where |e| ≤ δ, else δ (|e| − ½ δ),
    ∂l/∂o = c / outputs with c = o − t, limited to the range from −δ to δ

    The fast form computes h(e) = c (e − ½ c). The scale is the same as in the paper and in PyTorch's
    HuberLoss; scikit-learn's HuberRegressor minimizes 2 h, and PyTorch's SmoothL1Loss is h / δ. o and the
    target t are (batch, outputs).

    Options:
        delta: δ, the size above which an error counts linearly, more than 0. If the target is scaled, as it
            is unless scale_target=false, δ is in standard deviations of the target.

    Source: Huber 1964, "Robust estimation of a location parameter".
    """

    tasks = ("regression",)
    measures_distance = True
    examples = ({"delta": 0.05},)

    def __init__(self, *, delta: float = 1.0) -> None:
        check_range("delta", delta, above=0)
        self.delta = delta

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        e, delta = output - target, self.delta
        h = np.where(np.abs(e) <= delta, e**2 / 2, delta * (np.abs(e) - delta / 2))
        return h.mean(-1), np.clip(e, -delta, delta) / e.shape[-1]

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        error, squares = ctx.array(*output.shape), ctx.array(*losses.shape)
        outputs = output.shape[-1]
        numbers = (self.delta, -self.delta, 1 / outputs, outputs / 2)
        high, low, share, half = (np.array(number, output.dtype) for number in numbers)

        def run() -> None:
            np.subtract(output, target, error)
            np.maximum(error, low, out=d_output)
            np.minimum(d_output, high, out=d_output)
            np.multiply(d_output, share, d_output)
            np.vecdot(error, d_output, losses)
            np.vecdot(d_output, d_output, squares)
            np.multiply(squares, half, squares)
            np.subtract(losses, squares, losses)

        return run
