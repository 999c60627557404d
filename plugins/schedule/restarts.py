"""The schedule ``restarts``."""

from __future__ import annotations

from math import cos, pi

from mlpframe.api import Schedule, check_range, register


@register("restarts")
class Restarts(Schedule):
    """The rate falls along half a cosine again and again; after each fall the rate jumps back to ``lr``.

    factor = final + (1 − final) (1 + cos(π t / T)) / 2

    T is the length of the period that the step lies in, t the number of updates since that period began.
    Period n, from 0, is period · multiplierⁿ updates long. The last period is cut off by the end of the run
    unless total_steps is a sum of whole periods: for a multiplier of 2, period · (2ⁿ − 1).

    Options:
        period: updates of the first period, at least 1.
        multiplier: how many times as long each period is as the period before, at least 1.
        final: the fraction of the rate that is left at the end of each period, at least 0 and at most 1.

    Source: Loshchilov, Hutter 2017, "SGDR: Stochastic gradient descent with warm restarts".
    """

    def __init__(self, *, period: int = 1000, multiplier: int = 2, final: float = 0.0) -> None:
        check_range("period", period, minimum=1)
        check_range("multiplier", multiplier, minimum=1)
        check_range("final", final, minimum=0, maximum=1)
        self.period, self.multiplier, self.final = period, multiplier, final

    def factor(self, step: int, total_steps: int) -> float:
        done, length = self._place(step)
        return self.final + (1 - self.final) * (1 + cos(pi * done / length)) / 2

    def _place(self, step: int) -> tuple[int, int]:
        """The place of a step in its period: updates since the period began, and the period's length."""
        if self.multiplier == 1:
            return step % self.period, self.period
        length = self.period
        while step >= length:  # few passes, because the periods grow exponentially
            step -= length
            length *= self.multiplier
        return step, length
