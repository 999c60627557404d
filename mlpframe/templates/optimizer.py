"""The optimizer ``template``."""

from __future__ import annotations

from mlpframe.api import Array, Optimizer, check_range, register


@register("template")
class Template(Optimizer):
    """Gradient descent along a running mean of the gradient.

    m ← β m + (1 − β) g,  w ← w − η m

    m starts at 0, without bias correction.

    Options:
        beta: β, the fraction of the mean that each update keeps, at least 0 and below 1.
    """

    default_lr = 0.1

    def __init__(self, *, beta: float = 0.9) -> None:
        check_range("beta", beta, minimum=0, below=1)
        self.beta = beta

    def textbook(self, w: Array, g: Array, lr: float, t: int, m: Array) -> tuple[Array, ...]:
        m = self.beta * m + (1 - self.beta) * g
        return w - lr * m, m
