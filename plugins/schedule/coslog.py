"""The schedule ``coslog``."""

from __future__ import annotations

from math import cos, log2, pi

from mlpframe.api import Schedule, check_range, register


@register("coslog")
class CosLog(Schedule):
    """The rate rises from 0 and falls to 0 in waves, each twice as long as the one before.

    factor = (1 − cos(2π log₂(1 + (2^cycles − 1) (step + ½) / total_steps))) / 2

    The ½ takes the formula at the middle of each step; otherwise the first update would have the rate 0.

    At the end of every wave the rate is near 0, and the network is good. So the callback ``keep_best``, which
    keeps the weights of the best epoch, can keep the weights from the end of any wave.

    Options:
        cycles: number of waves in the whole run, at least 1.

    Source: Holzmüller, Grinsztajn, Steinwart 2024, "Better by default: strong pre-tuned MLPs and boosted
    trees on tabular data", with 4 cycles.
    """

    def __init__(self, *, cycles: int = 4) -> None:
        check_range("cycles", cycles, minimum=1, maximum=30)
        self.cycles = cycles

    def factor(self, step: int, total_steps: int) -> float:
        wave = log2(1 + (2**self.cycles - 1) * (step + 0.5) / max(total_steps, 1))
        return (1 - cos(2 * pi * wave)) / 2
