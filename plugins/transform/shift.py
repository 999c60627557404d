"""The transform ``shift``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, check_range, register

from ._warp import Warp, inverse_affine


@register("shift")
class Shift(Warp):
    """Moves every image by a random number of pixels.

    x'(row, column) = x(row − d₁, column − d₂),  d₁, d₂ uniform from −pixels to pixels

    Between pixels x is interpolated bilinearly, which blurs a little; beyond its edges it is 0. With
    ``whole`` the image moves by a whole number of pixels, all equally likely, and stays sharp.

    Options:
        pixels: the most that an image moves in each direction, at least 0; a whole number if ``whole``.
        whole: whether images move by whole pixels only.

    Source: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition".
    """

    def __init__(self, *, pixels: float = 2.0, whole: bool = False) -> None:
        check_range("pixels", pixels, minimum=0)
        if whole and pixels != int(pixels):
            raise ValueError(f"pixels must be a whole number with whole=true, not {pixels}")
        super().__init__(shift=pixels)
        self.whole = whole

    def coefficients(self, shape: tuple[int, int], n: int, rng: np.random.Generator) -> Array:
        if not self.whole:
            return super().coefficients(shape, n, rng)
        most = int(self.shift)
        moves = rng.integers(-most, most, (n, 2), endpoint=True)
        return inverse_affine(shape, moves, np.zeros(n), np.ones((n, 2)), np.zeros(n))
