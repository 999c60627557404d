"""The dataset ``parquet``."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mlpframe.api import UsageError, register

from ._frame import FrameDataset

if TYPE_CHECKING:
    import pandas as pd

ROWS = 1 << 17
"""The number of rows that are read at a time."""


@register("parquet")
class Parquet(FrameDataset):
    """Your own table in a Parquet file.

    Numbers stay numbers, true and false become 1 and 0, text and columns of a category type become
    categories; null is a missing value, and so is NaN. Classes and categories are sorted by their values.
    Means and standard deviations are those of the training part alone.
    """

    format = "Parquet"

    def read(self, path: Path) -> pd.DataFrame:
        import pandas as pd

        return pd.concat(self.blocks(path, ROWS), ignore_index=True)

    def blocks(self, path: Path, rows: int, texts: Collection[str] = ()) -> Iterator[pd.DataFrame]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            names = list(map(str, file.schema_arrow.names))
            for name in names:
                if names.count(name) > 1:
                    raise UsageError(f"{path}: {names.count(name)} columns are called {name!r}; expected one")
            for batch in file.iter_batches(rows):
                frame = batch.to_pandas()
                yield frame.set_axis(frame.columns.map(str), axis=1)
