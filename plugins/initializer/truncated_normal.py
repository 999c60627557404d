"""The initializer ``truncated_normal``."""

from __future__ import annotations

from math import inf

import numpy as np

from mlpframe.api import Array, Initializer, Parameter, check_range, register


@register("truncated_normal")
class TruncatedNormal(Initializer):
    """Independent normal numbers with mean 0, without the tails.

    w = std · Φ⁻¹(Φ(−cut) + u (Φ(cut) − Φ(−cut))),  u ~ U(0, 1)

    Φ is the distribution function of N(0, 1). This is N(0, std²) on the condition |w| ≤ cut · std. The
    inverse of Φ is used instead of rejection, so every number takes a single uniform random number u. ``std``
    is the standard deviation before truncation, as in TensorFlow, PyTorch and JAX. After truncation the
    standard deviation is std · √(1 − 2 cut φ(cut) / (2 Φ(cut) − 1)), where φ is the density of N(0, 1): 0.880
    std for a cut of 2.

    Options:
        std: standard deviation before truncation, at least 0.
        cut: the largest absolute value of a number, in units of ``std``, above 0.
    """

    def __init__(self, *, std: float = 1.0, cut: float = 2.0) -> None:
        check_range("std", std, minimum=0, below=inf)
        check_range("cut", cut, above=0, below=inf)
        self.std, self.cut = std, cut

    def fill(self, out: Array, parameter: Parameter, rng: np.random.Generator) -> None:
        from scipy.special import ndtr, ndtri  # imported only here: the import takes 0.1 s

        low, high = ndtr(-self.cut), ndtr(self.cut)
        rng.random(out=out)
        out *= high - low
        out += low
        ndtri(out, out)
        # Rounding may exceed the cut, and Φ⁻¹ is infinite if Φ(−cut) is rounded to 0.
        np.clip(out, -self.cut, self.cut, out)
        out *= self.std
