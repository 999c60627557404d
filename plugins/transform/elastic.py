"""The transform ``elastic``."""

from __future__ import annotations

from mlpframe.api import register

from ._warp import Warp


@register("elastic")
class Elastic(Warp):
    """Distorts every image by a smooth random field of displacements.

    x'(p) = x(p + f(p)),  f = α / √(height · width) · (G ∗ ε) / std(G ∗ ε),  ε ~ N(0, 1) at every pixel

    G is a Gaussian with standard deviation σ, with zeros beyond the edges; std is over pixels and draws. As
    in the source α is a norm: over all pixels the row displacements have norm α, and so have the column
    displacements (on average over draws; the source scales each draw). So the published α = 34 moves a pixel
    of a 28 × 28 image by 1.2 pixels in either direction; on an 8 × 8 image the same movement takes α = 10.
    The source draws ε uniformly, which smoothing makes normal. Between pixels x is interpolated bilinearly;
    beyond its edges it is 0.

    Options:
        alpha: norm α of the displacements in pixels, at least 0.
        sigma: standard deviation σ of the Gaussian in pixels, more than 0.

    Source: Simard, Steinkraus, Platt 2003, "Best practices for convolutional neural networks applied to
        visual document analysis".
    """

    def __init__(self, *, alpha: float = 34.0, sigma: float = 4.0) -> None:
        super().__init__(alpha=alpha, sigma=sigma)
