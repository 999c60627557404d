"""The layer ``template``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Bound, Context, Layer, check_range, register


@register("template")
class Template(Layer):
    """Rectified linear unit with a slope for negative inputs, element by element.

    y = x where x > 0, else slope · x;  ∂l/∂x = ∂l/∂y where x > 0, else slope · ∂l/∂y

    x and y are (batch, features).

    Options:
        slope: of the negative half, at least 0 and below 1.
    """

    def __init__(self, *, slope: float = 0.01) -> None:
        check_range("slope", slope, minimum=0, below=1)
        self.slope = slope

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        negative, slope = np.empty(x.shape, bool), self.slope

        def forward() -> None:
            np.multiply(x, slope, y)
            np.maximum(x, y, out=y)

        def backward() -> None:
            if dx is not None:
                np.less_equal(x, 0, negative)
                np.copyto(dx, dy)
                np.multiply(dx, slope, dx, where=negative)

        return Bound(y, dy, forward, backward)
