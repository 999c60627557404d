"""The layer ``sigmoid``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Bound, Context, Layer, register


@register("sigmoid")
class Sigmoid(Layer):
    """Logistic function, element by element.

    y = 1 / (1 + exp(−x)) = ½ + ½ tanh(x / 2),  ∂l/∂x = ∂l/∂y · y (1 − y)

    The second form is computed: it cannot overflow, and NumPy's tanh is vectorised. x and y are
    (batch, features).

    Source: Rumelhart, Hinton, Williams 1986, "Learning representations by back-propagating errors".
    """

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        half = np.array(0.5, x.dtype)  # an array costs less in a call than a Python number

        def forward() -> None:
            np.multiply(x, half, y)
            np.tanh(y, y)
            np.multiply(y, half, y)
            np.add(y, half, y)

        def backward() -> None:
            if dx is not None:
                np.multiply(y, y, dx)
                np.subtract(y, dx, dx)
                np.multiply(dx, dy, dx)

        return Bound(y, dy, forward, backward)
