"""The layer ``gaussian_noise``."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, check_range, register

from ._random import identity


@register("gaussian_noise")
class GaussianNoise(Layer):
    """Adds normal noise in training.

    y = x + ε,  ε ~ N(0, std²),  ∂l/∂x = ∂l/∂y

    Every element of every row is drawn anew at every step. In evaluation y = x. x, ε and y are
    (batch, features).

    Options:
        std: standard deviation of the noise, at least 0 and finite.

    Source: Bishop 1995, "Training with noise is equivalent to Tikhonov regularization".
    """

    def __init__(self, *, std: float = 0.1) -> None:
        check_range("std", std, minimum=0, below=inf)
        self.std = std

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        if not ctx.training or self.std == 0:
            return x, lambda dy: (dy, {})
        epsilon = self.std * ctx.rng.standard_normal(x.shape, x.dtype)
        return x + epsilon, lambda dy: (dy, {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        if not ctx.training or self.std == 0:
            return identity(x, dx, ctx)
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)
        normal: Any = ctx.rng.standard_normal
        dtype, std = x.dtype, np.array(self.std, x.dtype)

        def forward() -> None:
            normal(out=y, dtype=dtype)
            np.multiply(y, std, y)
            np.add(y, x, y)

        def backward() -> None:
            if dx is not None:
                np.copyto(dx, dy)

        return Bound(y, dy, forward, backward)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return x  # no noise in evaluation
