"""The initializer ``he``."""

from __future__ import annotations

from mlpframe.api import Parameter, register

from ._scaled import Scaled


@register("he")
class He(Scaled):
    """Variance 2 / fan_in: keeps the scale of activations through layers of rectified linear units.

    w ~ N(0, 2 / fan_in),  or U(−a, a) with a = √(6 / fan_in)

    Also known by the author's first name, Kaiming.

    Options:
        distribution: normal (not truncated) or uniform, of the same variance.

    Source: He, Zhang, Ren, Sun 2015, "Delving deep into rectifiers: surpassing human-level performance
    on ImageNet classification".
    """

    def variance(self, parameter: Parameter) -> float:
        return 2 / parameter.fan_in
