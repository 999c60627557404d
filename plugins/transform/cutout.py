"""The transform ``cutout``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Transform, check_range, register


@register("cutout")
class Cutout(Transform):
    """Sets a random square of every image to 0.

    x'(row, column) = 0 where c₁ ≤ row + ⌊size / 2⌋ < c₁ + size and likewise for columns; elsewhere x

    The center (c₁, c₂) is drawn uniformly from all pixels, so a part of the square may lie outside the image.
    The source found that training is better when some images keep more pixels.

    Options:
        size: side of the square in pixels, at least 0.

    Source: DeVries, Taylor 2017, "Improved regularization of convolutional neural networks with cutout".
    """

    def __init__(self, *, size: int = 8) -> None:
        check_range("size", size, minimum=0)
        self.size = size

    def apply(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        n, height, width = x.shape
        rows = self._within(height, n, rng)[:, :, None]
        columns = self._within(width, n, rng)[:, None, :]
        np.copyto(x, 0, where=rows & columns)
        return x, y

    def _within(self, length: int, n: int, rng: np.random.Generator) -> Array:
        """Which rows (or columns) the square of each image covers, ``(n, length)``."""
        centers = rng.integers(0, length, (n, 1))
        offset = np.arange(length) + self.size // 2 - centers
        return (offset >= 0) & (offset < self.size)
