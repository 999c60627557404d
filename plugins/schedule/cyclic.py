"""The schedule ``cyclic``."""

from __future__ import annotations

from mlpframe.api import Schedule, check_range, register

MODES = ("triangular", "triangular2", "exp_range")


@register("cyclic")
class Cyclic(Schedule):
    """The rate climbs and falls linearly between two bounds, again and again.

    factor = start + (1 − start) (1 − |step / steps − 2 n − 1|) · scale,  n = ⌊step / (2 steps)⌋

    with scale 1 (triangular), 2^−n (triangular2) or γ^step (exp_range). So ``lr`` is the upper bound and
    start · lr the lower bound. The scale shrinks the part above the lower bound, as in the paper. The
    schedule does not depend on the length of the run.

    Options:
        start: the lower bound, as a fraction of the rate, at least 0 and at most 1.
        steps: number of updates in each climb and in each fall, at least 1; the paper takes 2 to 10 epochs.
        mode: how the cycles change: triangular (all are alike), triangular2 (each is half as high as the one
          before) or exp_range (they shrink by γ with each update).
        gamma: γ of exp_range, above 0 and at most 1.

    Source: Smith 2017, "Cyclical learning rates for training neural networks".
    """

    def __init__(
        self, *, start: float = 0.1, steps: int = 1000, mode: str = "triangular", gamma: float = 0.9999
    ) -> None:
        check_range("start", start, minimum=0, maximum=1)
        check_range("steps", steps, minimum=1)
        if mode not in MODES:
            raise ValueError(f"mode must be triangular, triangular2 or exp_range, not {mode!r}")
        check_range("gamma", gamma, above=0, maximum=1)
        self.start, self.steps, self.mode, self.gamma = start, steps, mode, gamma

    def factor(self, step: int, total_steps: int) -> float:
        cycle, place = divmod(step, 2 * self.steps)
        height = min(place, 2 * self.steps - place) / self.steps
        return float(self.start + (1 - self.start) * height * self._scale(step, cycle))

    def _scale(self, step: int, cycle: int) -> float:
        if self.mode == "exp_range":
            return float(self.gamma**step)
        return 0.5**cycle if self.mode == "triangular2" else 1.0
