"""The schedule ``one_cycle``."""

from __future__ import annotations

from math import cos, pi

from mlpframe.api import Schedule, check_range, register


@register("one_cycle")
class OneCycle(Schedule):
    """The rate climbs from a small rate to the full rate, then falls to almost 0, once in the run.

    factor = start + (1 − start) (1 − cos(π p / peak)) / 2                   for p < peak,
    final + (1 − final) (1 + cos(π (p − peak) / (1 − peak))) / 2  from there on;  p = step / total_steps

    So ``lr`` is the highest rate: choose it by a learning rate range test. In the paper the rate climbs and
    falls linearly, and a short third phase follows. Here, as in fastai and PyTorch, climb and fall are each
    half a cosine, and the fall lasts to the end of the run. Like the other schedules here, this schedule
    reaches its end after the last update; PyTorch's reaches its end at the last update. Momentum does not
    change.

    Options:
        start: the fraction of the rate that the run starts with, at least 0 and at most 1.
        peak: when the rate is highest, as a fraction of the run, above 0 and below 1.
        final: the fraction of the rate that is left at the end of the run, at least 0 and at most 1.

    Source: Smith 2018, "A disciplined approach to neural network hyper-parameters: Part 1".
    """

    def __init__(self, *, start: float = 0.04, peak: float = 0.3, final: float = 4e-6) -> None:
        check_range("start", start, minimum=0, maximum=1)
        check_range("peak", peak, above=0, below=1)
        check_range("final", final, minimum=0, maximum=1)
        self.start, self.peak, self.final = start, peak, final

    def factor(self, step: int, total_steps: int) -> float:
        done = min(step / max(total_steps, 1), 1.0)
        if done < self.peak:
            low, angle = self.start, 1 - done / self.peak
        else:
            low, angle = self.final, (done - self.peak) / (1 - self.peak)
        return low + (1 - low) * (1 + cos(pi * angle)) / 2
