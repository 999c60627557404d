"""The schedule ``inverse_sqrt``."""

from __future__ import annotations

from math import sqrt

from mlpframe.api import Schedule, check_range, register


@register("inverse_sqrt")
class InverseSqrt(Schedule):
    """The rate climbs linearly, then falls as one over the square root of time.

    factor = min(t / warmup, √(warmup / t)),  t = step + 1

    Both terms are 1 at t = warmup, so the peak is the rate itself. The paper's rate, also known as Noam's, is
    min(t^−½, t · warmup^−1.5) / √width. Here the paper's rate is multiplied by √(width · warmup), so ``lr``
    is the highest rate and the network's width does not matter. Set warmup = 1 to leave out the climb.

    Options:
        warmup: number of updates during which the rate climbs, at least 1.

    Source: Vaswani et al. 2017, "Attention is all you need".
    """

    def __init__(self, *, warmup: int = 1000) -> None:
        check_range("warmup", warmup, minimum=1)
        self.warmup = warmup

    def factor(self, step: int, total_steps: int) -> float:
        t = step + 1
        return t / self.warmup if t < self.warmup else sqrt(self.warmup / t)
