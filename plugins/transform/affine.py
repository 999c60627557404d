"""The transform ``affine``."""

from __future__ import annotations

from mlpframe.api import register

from ._warp import Warp


@register("affine")
class Affine(Warp):
    """Scales, shears, turns and shifts every image at random, with a single interpolation.

    x'(p) = x(F⁻¹(p − d)) with F = R K S: scaling S, then shear K, then rotation R, p relative to the center

    d is the shift. S = diag(s₁, s₂) scales height and width by separate factors. K moves a row sideways by
    tan(angle) times the row's distance from the center. Shifts, factors and angles are drawn uniformly.
    Between pixels x is interpolated bilinearly; beyond its edges it is 0.

    Options:
        rotate: the largest angle of the rotation in degrees, from 0 to 180.
        scale: factors are between 1 − scale and 1 + scale, from 0 to below 1.
        shear: the largest angle of the shear in degrees, from 0 to below 90.
        shift: the most that an image moves in each direction, in pixels, at least 0.

    Source: Cireşan, Meier, Gambardella, Schmidhuber 2010, "Deep, big, simple neural nets for handwritten
        digit recognition".
    """

    def __init__(
        self, *, rotate: float = 15.0, scale: float = 0.15, shear: float = 0.0, shift: float = 0.0
    ) -> None:
        super().__init__(rotate=rotate, scale=scale, shear=shear, shift=shift)
