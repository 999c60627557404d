"""The schedule ``multistep``."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from mlpframe.api import Schedule, check_range, register


@register("multistep")
class MultiStep(Schedule):
    """The rate falls by the same ratio at each of a few milestones.

    factor = γ^n,  n = number of milestones m with m ≤ step / total_steps

    Milestones are fractions of the run, so they stay valid when the length of the run, the batch size or the
    number of rows changes; other libraries count them in epochs or updates. The default is the paper's
    schedule for CIFAR-10: after 32,000 and 48,000 of 64,000 updates.

    Options:
        milestones: fractions of the run, above 0 and below 1, in rising order.
        gamma: γ, the fraction of the rate that is left after each fall, above 0 and at most 1.

    Source: He, Zhang, Ren, Sun 2016, "Deep residual learning for image recognition".
    """

    def __init__(self, *, milestones: list[float] = [0.5, 0.75], gamma: float = 0.1) -> None:  # noqa: B006
        for milestone in milestones:
            check_range("milestones", milestone, above=0, below=1)
        if any(left >= right for left, right in pairwise(milestones)):
            raise ValueError(f"milestones must be in rising order, not {list(milestones)}")
        check_range("gamma", gamma, above=0, maximum=1)
        self.milestones, self.gamma = list(milestones), gamma

    def factor(self, step: int, total_steps: int) -> float:
        # Division rounds to the nearest float. So if step / total_steps is exactly a milestone, as 3 / 10 is
        # the milestone 0.3, both floats are equal.
        return float(self.gamma ** bisect_right(self.milestones, step / max(total_steps, 1)))
