"""Shared code of the layers that draw random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlpframe.api import Array, Bound, Context


def identity(x: Array, dx: Array | None, ctx: Context) -> Bound:
    """Bind y = x by copying: y and dy do not share memory with x and dx."""
    y, dy = ctx.array(*x.shape), ctx.array(*x.shape)

    def forward() -> None:
        np.copyto(y, x)

    def backward() -> None:
        if dx is not None:
            np.copyto(dx, dy)

    return Bound(y, dy, forward, backward)


def keep_mask(
    mask: Array, scratch: Array, drop: float, kept_value: float, ctx: Context
) -> Callable[[], None]:
    """A function that draws all of ``mask`` anew: 0 with probability ``drop``, else ``kept_value``."""
    rng, dtype = ctx.rng, mask.dtype
    uniform: Any = rng.random
    threshold, scale = np.array(drop, dtype), np.array(kept_value, dtype)

    def draw() -> None:
        uniform(out=scratch, dtype=dtype)
        np.greater_equal(scratch, threshold, mask)  # 1 where the element is kept, else 0
        np.multiply(mask, scale, mask)

    return draw
