"""The schedule ``kit_halving``."""

from math import inf, isfinite

from mlpframe.api import Schedule, register


@register("kit_halving")
class Halving(Schedule):
    """Halves the rate after every epoch without improvement.

    factor ← factor / 2 if the loss is not below the lowest loss so far
    """

    observes = "epoch"

    def __init__(self) -> None:
        self._seen = {"factor": 1.0, "lowest": inf}

    def factor(self, step, total_steps):
        return self._seen["factor"]

    def observe(self, value):
        if isfinite(value) and value < self._seen["lowest"]:
            self._seen["lowest"] = value
        else:
            self._seen["factor"] /= 2

    def state(self):
        return {name: value for name, value in self._seen.items() if value < inf}

    def restore(self, state):
        self._seen = {"lowest": inf, **state}
