"""The initializer ``kit_noise``."""

import numpy as np

from mlpframe.api import Initializer, check_range, register


@register("kit_noise")
class Noise(Initializer):
    """Uniform numbers around 0.

    w ~ U(−width, width)

    Options:
        width: largest absolute value, more than 0.
    """

    def __init__(self, *, width: float = 0.1) -> None:
        check_range("width", width, above=0)
        self.width = width

    def fill(self, out, parameter, rng):
        out[...] = rng.uniform(-self.width, self.width, np.shape(out))
