"""The schedule ``coslog``."""

from __future__ import annotations

from math import cos, log2, pi

from mlpframe.api import Schedule, check_range, register


@register("coslog")
class CosLog(Schedule):
    """The rate rises from 0 and falls to 0 in waves, each twice as long as the one before.

    factor = (1 − cos(2π log₂(1 + (2^cycles − 1) (step + ½) / total_steps))) / 2

    The ½, the middle of the step, keeps the first update from having the rate 0.

    The network is good at the end of every wave, so keeping the best of these moments (callback
    ``keep_best``) stops early where a short training is enough.

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
