"""The order of training rows; rows of a mapped file are shuffled in blocks of neighbors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...api import Table

BLOCK_BYTES = 4 << 20
"""Neighbouring rows of a mapped file that are read together."""

SHUFFLE_BYTES = 128 << 20
"""How much of a mapped file is shuffled among itself, and kept before it is let go of."""


def shuffled(table: Table, rng: np.random.Generator) -> NDArray[np.intp]:
    """A random order of a table's rows.

    Rows of a mapped file are shuffled in blocks: blocks of neighbouring rows are drawn in random order,
    and the rows of as many blocks as fit into ``SHUFFLE_BYTES`` are shuffled among each other. So what is
    read lies together, and what is in use at a time is bounded.
    """
    n = len(table)
    if table.mapping is None:
        return rng.permutation(n)
    row_bytes = table.x.strides[0]
    size = max(1, BLOCK_BYTES // row_bytes)
    blocks = rng.permutation(-(-n // size))
    together = max(1, SHUFFLE_BYTES // BLOCK_BYTES)
    order = np.empty(n, np.intp)
    end = 0
    for start in range(0, len(blocks), together):
        rows = [np.arange(b * size, min((b + 1) * size, n)) for b in blocks[start : start + together]]
        part = rng.permutation(np.concatenate(rows))
        order[end : end + len(part)] = part
        end += len(part)
    return order
