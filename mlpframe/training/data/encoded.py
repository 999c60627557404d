"""Encode rows that do not fit into memory: once, some rows at a time, into a file that is then mapped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...api import FrameFile, Table, UsageError
from .table import Encoder

BLOCK_BYTES = 16 << 20
"""Bytes of inputs, in double precision, that are encoded at a time."""
SAMPLE_BYTES = 128 << 20
"""An encoder is fitted to at most this many bytes (in double precision) of the inputs of a file."""


def in_file(x: Any) -> bool:
    """Whether inputs stay in their file: a mapped array, or a table that is not read into memory."""
    return isinstance(x, FrameFile) or Table(x, x).mapping is not None


def sample(table: Table) -> Table:
    """The rows to fit an encoder to: all rows, or evenly spaced rows of a file above ``SAMPLE_BYTES``."""
    if not in_file(table.x):
        return table
    most = max(1, SAMPLE_BYTES // (8 * table.x.shape[1]))
    if len(table) > most:
        table = table.part(np.linspace(0, len(table) - 1, most).astype(np.intp))
    if not isinstance(table.x, FrameFile):
        return table
    import pandas as pd

    return replace(table, x=pd.concat(table.x.blocks(), ignore_index=True))


def encode(table: Table, encoder: Encoder, file: Path, dtype: str) -> Table:
    """Write a table's encoded inputs to ``file`` and map the file. Targets and weights stay in memory.

    Raises:
        UsageError: a value is missing or infinite, although missing values are not imputed.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    inputs: Any = None
    begin = 0
    for block in _blocks(table.x):
        with np.errstate(over="ignore", invalid="ignore"):
            encoded = np.asarray(encoder.inputs(block), dtype)
        if not np.isfinite(encoded).all():
            raise UsageError(
                f"rows {begin:,} to {begin + len(encoded):,} have missing or infinite values, or values "
                f"too large for {dtype}; expected finite numbers"
            )
        if inputs is None:
            shape = (len(table), encoded.shape[1])
            inputs = np.lib.format.open_memmap(file, "w+", np.dtype(dtype), shape)
        inputs[begin : begin + len(encoded)] = encoded
        begin += len(encoded)
        for part in (table, Table(inputs, table.y)):
            part.release()
    assert inputs is not None
    inputs.flush()
    return Table(np.load(file, mmap_mode="r", allow_pickle=False), table.y, table.weights)


def _blocks(x: Any) -> Iterator[Any]:
    if isinstance(x, FrameFile):
        yield from x.blocks()
        return
    size = _rows_per_block(x.shape[1])
    for begin in range(0, len(x), size):
        yield x[begin : begin + size]


def _rows_per_block(features: int) -> int:
    return max(1, BLOCK_BYTES // (8 * features))
