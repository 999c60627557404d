"""What a tracker is told."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from ..api import Table
from ..training.data.prepare import Data

DIGEST_ROWS = 10_000


def digest(table: Table) -> str:
    """Eight hexadecimal digits that identify a table: its shapes, types, and first 10,000 rows."""
    sha = hashlib.sha256()
    for array in (table.x, table.y):
        sha.update(f"{array.shape}{array.dtype}".encode())
        sha.update(np.ascontiguousarray(array[:DIGEST_ROWS]).data)
    return sha.hexdigest()[:8]


def describe(data: Data) -> list[dict[str, Any]]:
    """The parts of the data as plain values, for a tracker."""
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return [
        {
            "name": data.name,
            "context": context,
            "digest": digest(table),
            "rows": len(table),
            "features": table.x.shape[1],
            "outputs": data.splits.n_outputs,
            "task": data.splits.task,
            "dtype": str(table.x.dtype),
        }
        for context, table in parts.items()
        if table is not None
    ]
