"""The schedule ``exponential``."""

from __future__ import annotations

from mlpframe.api import Schedule, check_range, register


@register("exponential")
class Exponential(Schedule):
    """The rate falls exponentially over the whole run.

    factor = final^(step / total_steps)

    Options:
        final: the fraction of the rate that is left at the end of the run, above 0 and at most 1.

    Source: Senior, Heigold, Ranzato, Yang 2013, "An empirical study of learning rates in deep neural
    networks for speech recognition".
    """

    def __init__(self, *, final: float = 0.01) -> None:
        check_range("final", final, above=0, maximum=1)
        self.final = final

    def factor(self, step: int, total_steps: int) -> float:
        return float(self.final ** (step / max(total_steps, 1)))
