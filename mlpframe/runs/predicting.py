"""Predict a file of any size: read a few thousand rows at a time, and write a table of the predictions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import numpy as np

from ..api import Array, Npz, UsageError, is_npz, nearest, read_npy
from ..registry import registries
from ..training.data.table.columns import LeftOut, Number, numbers
from ..training.predictor import Predictor

if TYPE_CHECKING:
    import pandas as pd

CELLS = 1 << 22
"""Inputs of the network that are computed at a time, 32 MB as float64."""
PACKED = (".gz", ".xz", ".bz2", ".zip", ".zst")
"""The suffixes of compressed CSV files."""
FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npy": "npy",
    ".npz": "npz",
}
CSV_OPTIONS = ("separator", "decimal", "thousands", "charset")
"""The options of the dataset csv that say how a file is written."""


def file_format(path: Path, allowed: tuple[str, ...] = ("csv", "parquet", "npy", "npz")) -> str:
    """The format of a file, by its suffix.

    Raises:
        UsageError: the suffix is not that of an allowed format.
    """
    suffix = Path(path.stem).suffix if path.suffix.lower() in PACKED else path.suffix
    form = FORMATS.get(suffix.lower())
    if form not in allowed:
        known = ", ".join(suffix for suffix, name in FORMATS.items() if name in allowed)
        raise UsageError(f"{path}: {suffix or 'no suffix'} is not a known format; expected one of {known}")
    return form


def existing(path: Path) -> Path:
    """Return the path if the file exists. Otherwise raise ``UsageError`` with similar names in its folder."""
    if path.is_file():
        return path
    if path.exists():
        raise UsageError(f"{path} is not a file")
    names = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    raise UsageError(f"{path}: there is no such file; {nearest(path.name, names)}")


def read_blocks(path: Path, dataset: Mapping[str, Any], rows: int) -> Iterator[Any]:
    """Read consecutive rows of a file as blocks: data frames from CSV and Parquet, arrays from NumPy files.

    Args:
        path: the file.
        dataset: the options of the run's data set, such as the separator of its CSV files.
        rows: the approximate number of rows of a block.

    Raises:
        UsageError: the file does not exist, or cannot be read.
    """
    form = file_format(existing(path))
    if form in ("npy", "npz"):
        yield from _array_blocks(path, dataset, rows)
    else:
        yield from frame_dataset(form, path, dataset).blocks(path, rows)


def frame_dataset(form: str, path: Path, dataset: Mapping[str, Any]) -> Any:
    """The data set that reads a CSV or Parquet file with the same options as the run's training file."""
    options = {key: dataset[key] for key in CSV_OPTIONS if key in dataset} if form == "csv" else {}
    return registries["dataset"].create({"name": form, "file": str(path), **options})


def _array_blocks(path: Path, dataset: Mapping[str, Any], rows: int) -> Iterator[Array]:
    if is_npz(path):
        with Npz(path) as arrays:
            x = array_of(arrays, "x", dataset)
    else:
        x = read_npy(path, mapped=True)
    if x.ndim < 2 or x.dtype.kind not in "biuf":
        raise UsageError(
            f"{path}: expected inputs of shape (rows, features), not {x.dtype} of shape {x.shape}"
        )
    for start in range(0, max(1, len(x)), rows):
        block = x[start : start + rows]
        yield np.array(block).reshape(len(block), prod(x.shape[1:]))


def array_of(arrays: Npz, option: str, dataset: Mapping[str, Any]) -> Array:
    """An array of a .npz file: the inputs or targets, by the names that the run's options give them."""
    name = dataset.get(option, option) if dataset.get("name") == "npz" else option
    return arrays[name]


def model_inputs(predictor: Predictor, block: Any) -> Any:
    """Select the model's inputs from rows of a file. Columns are found by their names.

    Raises:
        UsageError: a column that the model needs is missing, or has another type of values than in training.
    """
    names, columns = predictor.encoder.names, predictor.encoder.columns
    if columns is not None and not hasattr(block, "columns"):
        used = [column for column in columns if not isinstance(column, LeftOut)]
        if not all(isinstance(column, Number) for column in used):
            raise UsageError(
                f"the model takes a table with the columns {', '.join(column.name for column in used)}, "
                "not an array of numbers"
            )
    if columns is not None or not hasattr(block, "columns"):
        return block
    for name in names:
        if name not in block.columns:
            raise UsageError(
                f"the table has no column {name!r}, which the model needs; {nearest(name, block.columns)}"
            )
    raw_inputs = predictor.shapes.inputs - len(predictor.encoder.indicators)
    if not names and len(block.columns) != raw_inputs:
        raise UsageError(
            f"the model takes {raw_inputs} columns without names, and the table has {len(block.columns)}"
        )
    return np.column_stack([numbers(block[name], name) for name in names or block.columns])


def unknown_columns(predictor: Predictor, block: Any) -> list[str]:
    """The columns of a data frame that are not used, because the model does not know them."""
    encoder = predictor.encoder
    if not hasattr(block, "columns"):
        return []
    if encoder.columns is not None:
        return encoder.extra(block)
    known = {*encoder.names, *encoder.target.names}
    return [name for name in block.columns if name not in known] if encoder.names else []


# --- output ------------------------------------------------------------------------------------------


class Writer(Protocol):
    """Writes tables into one file, one below the other."""

    def write(self, table: pd.DataFrame, prediction: Array) -> None: ...

    def close(self) -> None: ...


class _CSV:
    def __init__(self, file: TextIO) -> None:
        self._file, self._started = file, False

    def write(self, table: pd.DataFrame, prediction: Array) -> None:
        table.to_csv(self._file, index=False, header=not self._started)
        self._started = True

    def close(self) -> None:
        self._file.flush()
        if self._file is not sys.stdout:
            self._file.close()


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None  # a pyarrow.parquet.ParquetWriter

    def write(self, table: pd.DataFrame, prediction: Array) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = None if self._writer is None else self._writer.schema
        if schema is None:  # so that a label column is text even if no row of the first table has a label
            text = [name for name in table.columns if table[name].dtype == object]
            table = table.astype(dict.fromkeys(text, "string"))
        arrow = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, arrow.schema)
        self._writer.write_table(arrow)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _NPY:
    """Writes a .npy file. The number of rows is known only at the end, when the header is written again."""

    def __init__(self, path: Path) -> None:
        self._file, self._rows, self._like = path.open("wb"), 0, np.empty((0, 0))

    def write(self, table: pd.DataFrame, prediction: Array) -> None:
        if not self._rows:
            self._like = prediction
            self._header()
        self._rows += len(prediction)
        self._file.write(np.ascontiguousarray(prediction).data)

    def _header(self) -> None:
        self._file.seek(0)
        about = np.lib.format.header_data_from_array_1_0(self._like)
        about["shape"] = (self._rows, self._like.shape[1])
        np.lib.format.write_array_header_1_0(self._file, about)

    def close(self) -> None:
        self._header()
        self._file.close()


@contextmanager
def writer(out: Path | None) -> Iterator[Writer]:
    """Yield a writer of predictions: to a file in the format of its suffix, or as CSV to standard output.

    The rows go to a temporary file, which gets the name ``out`` at the end of the ``with`` statement. If
    writing fails, the temporary file is deleted.

    Raises:
        UsageError: the suffix is not known, or there is no such folder.
    """
    if out is None:
        yield _CSV(sys.stdout)
        return
    form = file_format(out, ("csv", "parquet", "npy"))
    if not out.parent.is_dir():
        raise UsageError(f"{out}: there is no folder {out.parent}")
    part = out.with_name(f".{os.getpid()}.{out.name}")
    makers: dict[str, Callable[[Path], Writer]] = {
        "csv": lambda path: _CSV(_open_csv(path)),
        "parquet": _Parquet,
        "npy": _NPY,
    }
    with ExitStack() as stack:
        stack.callback(part.unlink, missing_ok=True)
        current = makers[form](part)
        try:
            yield current
        finally:
            current.close()
        part.replace(out)


def _open_csv(path: Path) -> TextIO:
    import gzip

    if path.suffix.lower() in PACKED[1:]:
        raise UsageError(f"{path.suffix}: predictions are written as .csv or .csv.gz")
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "wt", encoding="utf-8", newline="")
    return path.open("w", encoding="utf-8", newline="")


def predict_file(
    predictor: Predictor,
    path: Path,
    dataset: Mapping[str, Any],
    out: Path | None,
    note: Callable[[str], None],
    threshold: float | None = None,
) -> int:
    """Predict every row of a file, in order, some thousand rows at a time. Returns the number of rows.

    Args:
        predictor: the model.
        path: the file with the rows.
        dataset: the options of the run's data set, such as the separator of its CSV files.
        out: the file to write; ``None``: standard output.
        note: called with sentences for the user.
        threshold: as in ``training.data.table.Words``.

    Raises:
        UsageError: the file does not fit the model, or cannot be read or written.
    """
    words = predictor.words(threshold)
    rows_at_once = max(1, CELLS // predictor.shapes.inputs)
    rows = empty = 0
    with writer(out) as output:
        for block in read_blocks(path, dataset, rows_at_once):
            prediction = predictor.predict(model_inputs(predictor, block))
            if not rows and (extra := unknown_columns(predictor, block)):
                note(f"left out, because the model does not know them: {', '.join(extra)}")
            output.write(words.table(prediction), prediction)
            rows += len(prediction)
            empty += int(np.isnan(prediction).any(1).sum())
    if empty:
        note(
            f"{empty:,} of {rows:,} rows have missing values, and the run did not learn to fill them "
            "(dataset.missing=impute does): their predictions are empty"
        )
    return rows
