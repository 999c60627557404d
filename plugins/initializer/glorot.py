"""The initializer ``glorot``."""

from __future__ import annotations

from mlpframe.api import Parameter, register

from ._scaled import Scaled


@register("glorot")
class Glorot(Scaled):
    """Variance 2 / (fan_in + fan_out): a compromise between the scales of activations and gradients.

    w ~ N(0, 2 / (fan_in + fan_out)),  or U(−a, a) with a = √(6 / (fan_in + fan_out))

    Also known by the author's first name, Xavier. The paper draws from the uniform distribution.

    Options:
        distribution: normal (not truncated) or uniform, of the same variance.

    Source: Glorot, Bengio 2010, "Understanding the difficulty of training deep feedforward neural
    networks".
    """

    def variance(self, parameter: Parameter) -> float:
        return 2 / (parameter.fan_in + parameter.fan_out)
