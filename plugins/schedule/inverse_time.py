"""The schedule ``inverse_time``."""

from __future__ import annotations

from mlpframe.api import Schedule, check_range, register


@register("inverse_time")
class InverseTime(Schedule):
    """The rate falls as one over time: fast at first, then ever more slowly, and never to 0.

    factor = 1 / (1 + step / steps)

    The sum of the rates is infinite and the sum of their squares is finite. Stochastic approximation needs
    both to converge. The schedule does not depend on the length of the run.

    Options:
        steps: updates after which half of the rate is left, at least 1.

    Source: Robbins, Monro 1951, "A stochastic approximation method".
    """

    def __init__(self, *, steps: int = 1000) -> None:
        check_range("steps", steps, minimum=1)
        self.steps = steps

    def factor(self, step: int, total_steps: int) -> float:
        return self.steps / (self.steps + step)
