"""The order of training rows. Rows of a mapped file are shuffled in chunks of neighboring rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...api import Table

BLOCK_BYTES = 4 << 20
"""Bytes of a chunk: the neighboring rows of a mapped file that are read together."""

SHUFFLE_BYTES = 128 << 20
"""Bytes of a mapped file that are shuffled together, and that are read before memory is released."""


def shuffled(table: Table, rng: np.random.Generator) -> NDArray[np.intp]:
    """A random order of a table's rows.

    A mapped file is divided into chunks of neighboring rows. The chunks are drawn in random order, and the
    rows of as many chunks as fit into ``SHUFFLE_BYTES`` are shuffled together. So each read covers
    neighboring rows, and the memory in use is bounded.
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
