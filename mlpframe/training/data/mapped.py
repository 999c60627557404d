"""The order of training rows. Rows of a mapped file are shuffled in chunks of neighboring rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...api import Table

CHUNK_BYTES = 4 << 20
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
    chunk_rows = max(1, CHUNK_BYTES // row_bytes)
    chunks = rng.permutation(-(-n // chunk_rows))
    chunks_together = max(1, SHUFFLE_BYTES // CHUNK_BYTES)
    order = np.empty(n, np.intp)
    end = 0
    for start in range(0, len(chunks), chunks_together):
        firsts = chunks[start : start + chunks_together] * chunk_rows
        rows = [np.arange(first, min(first + chunk_rows, n)) for first in firsts]
        part = rng.permutation(np.concatenate(rows))
        order[end : end + len(part)] = part
        end += len(part)
    return order
