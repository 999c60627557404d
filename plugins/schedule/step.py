"""The schedule ``step``."""

from __future__ import annotations

from mlpframe.api import Schedule, check_range, register


@register("step")
class Step(Schedule):
    """The rate falls in steps, by the same ratio after every so many updates.

    factor = γ^⌊step / every⌋

    Options:
        every: updates from one fall to the next, at least 1.
        gamma: γ, the fraction of the rate that is left after each fall, above 0 and at most 1.

    Source: He, Zhang, Ren, Sun 2016, "Deep residual learning for image recognition".
    """

    def __init__(self, *, every: int = 10_000, gamma: float = 0.1) -> None:
        check_range("every", every, minimum=1)
        check_range("gamma", gamma, above=0, maximum=1)
        self.every, self.gamma = every, gamma

    def factor(self, step: int, total_steps: int) -> float:
        return float(self.gamma ** (step // self.every))
