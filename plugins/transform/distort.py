"""The transform ``distort``."""

from __future__ import annotations

from mlpframe.api import register

from ._warp import Warp


@register("distort")
class Distort(Warp):
    """Affine and elastic distortion of every image at once, with a single interpolation.

    x'(p) = x(F⁻¹(p − d) + f(p)) with F and d of the transform ``affine`` and f of the transform ``elastic``

    Two separate transforms, one after the other, would interpolate twice, and so blur twice. Between pixels x
    is interpolated bilinearly; beyond its edges it is 0.

    Options:
        alpha: norm α of the displacements in pixels, at least 0: with 34, a pixel of a 28 × 28 image moves by
            about 1.2 pixels in each direction.
        sigma: standard deviation of the Gaussian that smooths the displacements, in pixels, more than 0.
        rotate: the largest angle of the rotation in degrees, from 0 to 180.
        scale: factors are between 1 − scale and 1 + scale, from 0 to below 1.
        shear: the largest angle of the shear in degrees, from 0 to below 90.
        shift: the most that an image moves in each direction, in pixels, at least 0.

    Source: Cireşan, Meier, Gambardella, Schmidhuber 2010, "Deep, big, simple neural nets for handwritten
        digit recognition".
    """

    def __init__(
        self,
        *,
        alpha: float = 34.0,
        sigma: float = 4.0,
        rotate: float = 10.0,
        scale: float = 0.1,
        shear: float = 5.0,
        shift: float = 1.0,
    ) -> None:
        super().__init__(rotate=rotate, scale=scale, shear=shear, shift=shift, alpha=alpha, sigma=sigma)
