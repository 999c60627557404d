"""The schedule ``template``."""

from __future__ import annotations

from mlpframe.api import Schedule, check_range, register


@register("template")
class Template(Schedule):
    """The learning rate falls linearly over the whole run.

    factor = 1 − (1 − final) · step / total_steps

    Options:
        final: the factor at the end of the run, at least 0 and at most 1.
    """

    def __init__(self, *, final: float = 0.0) -> None:
        check_range("final", final, minimum=0, maximum=1)
        self.final = final

    def factor(self, step: int, total_steps: int) -> float:
        return 1 - (1 - self.final) * min(step / max(total_steps, 1), 1.0)
