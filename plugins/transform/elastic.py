"""The transform ``elastic``."""

from __future__ import annotations

from mlpframe.api import register

from ._warp import Warp


@register("elastic")
class Elastic(Warp):
    """Distorts every image by a smooth random field of displacements.

    x'(p) = x(p + f(p)),  f = α / √(height · width) · (G ∗ ε) / std(G ∗ ε),  ε ~ N(0, 1) at every pixel

    ∗ is convolution. G is a Gaussian with standard deviation σ; std is the standard deviation over pixels and
    draws. Beyond the image's edges ε and x are 0. As in the source, α is a norm: the row displacements of all
    pixels form a vector of norm α, and so do the column displacements. Here the norm is α on average over
    draws, while the source scales every draw to norm α. The published α = 34 moves a pixel of a 28 × 28 image
    by about 1.2 pixels in each direction; on an 8 × 8 image the same movement takes α = 10. The source draws
    ε uniformly; a smoothed value is a sum of many ε, so it is nearly normal in both cases. Between pixels x
    is interpolated bilinearly.

    Options:
        alpha: norm α of the displacements in pixels, at least 0.
        sigma: standard deviation σ of the Gaussian in pixels, more than 0.

    Source: Simard, Steinkraus, Platt 2003, "Best practices for convolutional neural networks applied to
        visual document analysis".
    """

    def __init__(self, *, alpha: float = 34.0, sigma: float = 4.0) -> None:
        super().__init__(alpha=alpha, sigma=sigma)
