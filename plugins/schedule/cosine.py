"""The schedule ``cosine``."""

from __future__ import annotations

from math import cos, pi

from mlpframe.api import Schedule, check_range, register


@register("cosine")
class Cosine(Schedule):
    """The rate falls along half a cosine over the whole run: slowly, fast, slowly.

    factor = final + (1 − final) (1 + cos(π step / total_steps)) / 2

    In the paper the rate is also restarted; the schedule ``restarts`` does this.

    Options:
        final: the fraction of the rate that is left at the end of the run, at least 0 and at most 1.

    Source: Loshchilov, Hutter 2017, "SGDR: Stochastic gradient descent with warm restarts".
    """

    def __init__(self, *, final: float = 0.0) -> None:
        check_range("final", final, minimum=0, maximum=1)
        self.final = final

    def factor(self, step: int, total_steps: int) -> float:
        wave = (1 + cos(pi * step / max(total_steps, 1))) / 2
        return self.final + (1 - self.final) * wave
