"""The transform ``rotate``."""

from __future__ import annotations

from mlpframe.api import check_range, register

from ._warp import Warp


@register("rotate")
class Rotate(Warp):
    """Turns every image about its center by a random angle.

    x'(p) = x(R⁻¹ p) with the rotation R by an angle ~ U(−degrees, degrees), p relative to the center

    Between pixels x is interpolated bilinearly; beyond its edges it is 0.

    Options:
        degrees: the largest angle, from 0 to 180.

    Source: Cireşan, Meier, Gambardella, Schmidhuber 2010, "Deep, big, simple neural nets for handwritten
        digit recognition".
    """

    def __init__(self, *, degrees: float = 15.0) -> None:
        check_range("degrees", degrees, minimum=0, maximum=180)
        super().__init__(rotate=degrees)
