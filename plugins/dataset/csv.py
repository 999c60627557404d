"""The dataset ``csv``."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpframe.api import UsageError, register

from ._csv_format import CSVFormat, recognize
from ._frame import FrameDataset, refuse_same_names
from ._packed import in_words, open_table

if TYPE_CHECKING:
    import pandas as pd


@register("csv")
class CSV(FrameDataset):
    """Your own table in a CSV file with the names of its columns in the first line.

    Separator, decimal mark, thousands mark and character encoding are recognized from the beginning of the
    file; an option that is given wins. An empty field is a missing value, and so is any text that pandas
    reads as missing: NA, N/A, NaN, null, None and the like. The file may be compressed (.gz, .zip, .xz,
    .bz2, .zst).

    Numbers stay numbers, true and false become 1 and 0, text becomes categories, and a date becomes several
    numbers such as year and month. Columns that look like identifiers and columns with only one value are
    left out. Means, categories and the like are learned from the training part alone.

    Options:
        separator: what separates the fields, such as "," or ";"; null: recognized.
        decimal: the decimal mark, "." or ","; null: recognized.
        thousands: the mark between thousands, such as "," or "."; null: recognized.
        charset: the character encoding, such as "utf-8" or "cp1252"; null: recognized.
    """

    format = "CSV"

    def __init__(
        self,
        *,
        file: str,
        target: str | list[str] | None = None,
        task: str = "auto",
        separator: str | None = None,
        decimal: str | None = None,
        thousands: str | None = None,
        charset: str | None = None,
        categorical: list[str] | None = None,
        dates: list[str] | None = None,
        keep: list[str] | None = None,
        ignore: list[str] | None = None,
        encoding: str = "one_hot",
        max_categories: int = 1000,
        weight: str | None = None,
        split_by: str | None = None,
        split_column: str | None = None,
        validation_file: str | None = None,
        test_file: str | None = None,
        in_memory: bool | None = None,
    ) -> None:
        super().__init__(
            file=file,
            target=target,
            task=task,
            categorical=categorical,
            dates=dates,
            keep=keep,
            ignore=ignore,
            encoding=encoding,
            max_categories=max_categories,
            weight=weight,
            split_by=split_by,
            split_column=split_column,
            validation_file=validation_file,
            test_file=test_file,
            in_memory=in_memory,
        )
        for name, mark in (("separator", separator), ("decimal", decimal), ("thousands", thousands)):
            if mark is not None and (len(mark) != 1 or mark in '\r\n"\0'):
                raise ValueError(f"{name} must be one character, not {mark[:40]!r}")
        if charset is not None:
            _check_charset(charset)
        self.given = CSVFormat(separator, decimal, thousands, charset)

    def read(self, path: Path) -> pd.DataFrame:
        return next(self._frames(path, None))

    def blocks(self, path: Path, rows: int, texts: Collection[str] = ()) -> Iterator[pd.DataFrame]:
        yield from self._frames(path, rows, texts)

    def _frames(self, path: Path, rows: int | None, texts: Collection[str] = ()) -> Iterator[pd.DataFrame]:
        import pandas as pd

        form, names = recognize(path, self.given)
        refuse_same_names(path, names)
        if all(map(_is_number, names)) and names != [str(i) for i in range(len(names))]:
            raise UsageError(f"{path}: the first line has numbers only; expected the names of the columns")
        options: dict[str, Any] = {"low_memory": False} if rows is None else {"chunksize": rows}
        if texts:
            options["dtype"] = dict.fromkeys(texts, str)
        with open_table(path) as file:
            with in_words(path, self.format):
                reader = pd.read_csv(file, **form.options, **options)
            frames = iter([reader] if rows is None else reader)
            while True:
                with in_words(path, self.format):
                    frame = next(frames, None)
                if frame is None:
                    return
                if not isinstance(frame.index, pd.RangeIndex):
                    raise UsageError(
                        f"{path} cannot be read as CSV: "
                        "its rows have more fields than the first line has names"
                    )
                yield frame


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_charset(charset: str) -> None:
    try:
        codecs.lookup(charset).decode(b"")
    except (LookupError, ValueError, TypeError) as error:
        raise ValueError(
            f"charset must be a character encoding, such as utf-8, not {charset[:40]!r}"
        ) from error
