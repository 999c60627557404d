"""The dataset ``csv``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlpframe.api import UsageError, register

from ._frame import FrameDataset

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = ",;\t"


@register("csv")
class CSV(FrameDataset):
    """Your own table in a CSV file with the names of its columns in the first line.

    The separator is comma, semicolon or tab, whichever gives the first line the most columns; a field in
    double quotes may contain it. The encoding is UTF-8. An empty field is a missing value, and so is any text
    that pandas reads as missing: NA, N/A, NaN, null, None and the like. The file may be compressed (.gz,
    .zip, .xz, …).

    Numbers stay numbers, true and false become 1 and 0, text becomes categories. Classes and categories are
    sorted by their values. Means and standard deviations are those of the training part alone.
    """

    format = "CSV"

    def read(self, path: Path) -> pd.DataFrame:
        import pandas as pd

        separator = max(SEPARATORS, key=lambda candidate: _header(path, candidate).shape[1])
        frame = pd.read_csv(path, sep=separator, skipinitialspace=True, low_memory=False)
        names = list(frame.columns)
        if not isinstance(frame.index, pd.RangeIndex):
            raise ValueError("some rows have more fields than the first line has column names")
        if all(map(_is_number, names)) and names != [str(i) for i in range(len(names))]:
            raise UsageError(f"{path}: the first line has numbers only; expected the names of the columns")
        return frame


def _header(path: Path, separator: str) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(path, sep=separator, skipinitialspace=True, nrows=0)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
