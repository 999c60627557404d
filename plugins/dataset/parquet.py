"""The dataset ``parquet``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlpframe.api import register

from ._frame import FrameDataset

if TYPE_CHECKING:
    import pandas as pd


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

        return pd.read_parquet(path, engine="pyarrow")
