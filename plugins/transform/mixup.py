"""The transform ``mixup``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Transform, check_range, register

CHUNK_VALUES = 25_000
"""Values processed at a time: few enough to stay in the cache."""


@register("mixup")
class Mixup(Transform):
    """Mixes every row with another row, and their targets with the same weights.

    x' = λ x + (1 − λ) x₂,  y' = λ y + (1 − λ) y₂,  λ ~ Beta(α, α)

    Every row has its own λ, as in the source's formula; the source's program draws one λ for each batch. The
    second rows (x₂, y₂) are a random permutation of the rows of the same block (consecutive batches). Targets
    of a classification become probabilities. In the loss, a mixed row has the weight of its first row (x, y).

    Options:
        alpha: α of the Beta distribution, more than 0. Small values leave most rows nearly as they are; with
            1 every λ from 0 to 1 is equally likely.

    Source: Zhang, Cisse, Dauphin, Lopez-Paz 2018, "mixup: Beyond empirical risk minimization".
    """

    needs_images = False
    mixes = True

    def __init__(self, *, alpha: float = 0.2) -> None:
        check_range("alpha", alpha, above=0)
        self.alpha = alpha

    def apply(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        n = len(x)
        share, second = rng.beta(self.alpha, self.alpha, n), rng.permutation(n)
        return _mixed(x, share, second), _mixed(y, share, second)


def _mixed(values: Array, share: Array, second: Array) -> Array:
    """Mix every row v with a row v₂: λ v + (1 − λ) v₂, computed as v₂ + λ (v − v₂), in a new array.

    Args:
        values: the rows v.
        share: λ of every row.
        second: the row number of v₂ for every row.
    """
    result = np.empty_like(values)
    n = len(values)
    factors = share.astype(values.dtype).reshape(n, *[1] * (values.ndim - 1))
    size = max(1, CHUNK_VALUES // max(1, values[:1].size))
    differences = np.empty((size, *values.shape[1:]), values.dtype)
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        mixed, v = result[part], differences[: part.stop - start]
        values.take(second[part], 0, mixed, "clip")
        np.subtract(values[part], mixed, v)
        np.multiply(v, factors[part], v)
        np.add(mixed, v, mixed)
    return result
