"""The schedule ``kit_ramp``."""

from mlpframe.api import Schedule, check_range, register


@register("kit_ramp")
class Ramp(Schedule):
    """The rate falls in a straight line.

    factor = 1 − (1 − final) step / total_steps

    Options:
        final: the factor at the end, at least 0 and at most 1.
    """

    def __init__(self, *, final: float = 0.0) -> None:
        check_range("final", final, minimum=0, maximum=1)
        self.final = final

    def factor(self, step, total_steps):
        return 1 - (1 - self.final) * step / max(total_steps, 1)

    def factors(self, start, stop, total_steps):
        return [self.factor(step, total_steps) for step in range(start, stop)]
