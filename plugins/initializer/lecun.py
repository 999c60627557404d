"""The initializer ``lecun``."""

from __future__ import annotations

from mlpframe.api import Parameter, register

from ._scaled import Scaled


@register("lecun")
class LeCun(Scaled):
    """Variance 1 / fan_in: sums of standardized inputs have variance 1.

    w ~ N(0, 1 / fan_in),  or U(−a, a) with a = √(3 / fan_in)

    Options:
        distribution: normal (not truncated) or uniform, of the same variance.

    Source: LeCun, Bottou, Orr, Müller 1998, "Efficient BackProp".
    """

    def variance(self, parameter: Parameter) -> float:
        return 1 / parameter.fan_in
