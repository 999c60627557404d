"""The transform ``template``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Transform, check_range, register


@register("template")
class Template(Transform):
    """Adds normal noise to every number of a row.

    x ← x + std · ε with ε ~ N(0, 1), drawn anew for every number

    x is (n, height, width). Targets do not change.

    Options:
        std: standard deviation of the noise, at least 0.
    """

    needs_images = False

    def __init__(self, *, std: float = 0.1) -> None:
        check_range("std", std, minimum=0)
        self.std = std

    def apply(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        x += self.std * rng.standard_normal(x.shape, x.dtype.type)
        return x, y
