"""The schedule ``constant``."""

from __future__ import annotations

from collections.abc import Sequence

from mlpframe.api import Schedule, register


@register("constant")
class Constant(Schedule):
    """The learning rate does not change.

    factor = 1
    """

    def factor(self, step: int, total_steps: int) -> float:
        return 1.0

    def factors(self, start: int, stop: int, total_steps: int) -> Sequence[float]:
        return [1.0] * (stop - start)
