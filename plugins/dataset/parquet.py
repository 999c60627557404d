"""The dataset ``parquet``."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpframe.api import RATIO, UsageError, register

from ._frame import LARGE, FrameDataset, refuse_same_names
from ._packed import in_words

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

        self._refuse_huge(path)
        frames = list(self.blocks(path, ROWS))
        if not frames:
            raise UsageError(f"{path} has no rows")
        return pd.concat(frames, ignore_index=True)

    def _refuse_huge(self, path: Path) -> None:
        """Refuse a small file that claims more numbers than a table in memory should have."""
        with self._open(path) as file:
            size = 8 * file.metadata.num_rows * file.metadata.num_columns
        if size > max(LARGE, RATIO * path.stat().st_size):
            raise UsageError(
                f"{path} has {path.stat().st_size:,} bytes and would take {size:,} in memory; "
                "dataset.in_memory=false reads its rows block by block"
            )

    def _open(self, path: Path) -> Any:
        import pyarrow.parquet as pq

        with in_words(path, self.format):
            return pq.ParquetFile(path, page_checksum_verification=True)  # where the file has checksums

    def blocks(self, path: Path, rows: int, texts: Collection[str] = ()) -> Iterator[pd.DataFrame]:
        with self._open(path) as file:
            with in_words(path, self.format):
                names = list(map(str, file.schema_arrow.names))
                batches = file.iter_batches(rows)
            refuse_same_names(path, names)
            while True:
                with in_words(path, self.format):
                    batch = next(batches, None)
                    if batch is not None:
                        batch.validate(full=True)  # else pandas finds text that is no UTF-8 where it uses it
                    frame = None if batch is None else batch.to_pandas()
                if frame is None:
                    return
                yield frame.set_axis(frame.columns.map(str), axis=1)
