"""The transform ``noise``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Transform, check_range, register

CHUNK_VALUES = 25_000
"""Values processed at a time: few enough to stay in the cache."""


@register("noise")
class Noise(Transform):
    """Adds normal noise to every feature of every row.

    x' = x + std · ε,  ε ~ N(0, 1)

    Noisy values may leave the range of the data; they are not clipped.

    Options:
        std: standard deviation of the noise, at least 0, in the units of the features after scaling.

    Source: Bishop 1995, "Training with noise is equivalent to Tikhonov regularization".
    """

    needs_images = False

    def __init__(self, *, std: float = 0.1) -> None:
        check_range("std", std, minimum=0)
        self.std = std

    def apply(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        size = max(1, CHUNK_VALUES // max(1, x[:1].size))
        noise = np.empty((min(size, len(x)), *x.shape[1:]), x.dtype)
        for start in range(0, len(x), size):
            part = x[start : start + size]
            drawn = noise[: len(part)]
            rng.standard_normal(dtype=x.dtype, out=drawn)
            np.multiply(drawn, self.std, drawn)
            np.add(part, drawn, part)
        return x, y
