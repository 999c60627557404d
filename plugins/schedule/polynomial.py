"""The schedule ``polynomial``."""

from __future__ import annotations

from mlpframe.api import Schedule, check_range, register


@register("polynomial")
class Polynomial(Schedule):
    """The rate falls along a power of the fraction of the run that is left.

    factor = final + (1 − final) (1 − step / total_steps)^power

    With power 1 the rate falls linearly. With a larger power it falls fast at first and gently at the end.

    Options:
        power: exponent of the fraction of the run that is left, above 0.
        final: the fraction of the rate that is left at the end of the run, at least 0 and at most 1.

    Source: Chen, Papandreou, Kokkinos, Murphy, Yuille 2018, "DeepLab: Semantic image segmentation with
    deep convolutional nets, atrous convolution, and fully connected CRFs".
    """

    def __init__(self, *, power: float = 1.0, final: float = 0.0) -> None:
        check_range("power", power, above=0)
        check_range("final", final, minimum=0, maximum=1)
        self.power, self.final = power, final

    def factor(self, step: int, total_steps: int) -> float:
        left = 1 - min(step / max(total_steps, 1), 1.0)
        return float(self.final + (1 - self.final) * left**self.power)
