"""The base classes of the datasets csv, parquet and arrays: tables with named input and target columns."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from mlpframe.api import (
    Array,
    ColumnRules,
    DataContext,
    Dataset,
    FrameFile,
    Preparation,
    Splits,
    Table,
    UsageError,
    check_range,
    nearest,
)

from ._files import find_file

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("train", "validation", "test")
LARGE = 1 << 30
"""With ``in_memory=null``, a table whose files have more bytes than this is not read into memory."""
BLOCK_ROWS = 1 << 17
"""The number of rows that are read at a time from a table that does not fit into memory."""
FEW = 20
"""A target of whole numbers is a classification if it has at most this many different values.

Also, each value must occur at least twice on average.
"""
LIKE_A_NUMBER = re.compile(r"\s*[^\w\s]?\s*[-+]?\d[\d.,' ]*\s*[%€$£]?\s*$")


@dataclass(frozen=True)
class Targets:
    """The targets ``y`` of all rows: class numbers ``(rows,)`` or values ``(rows, outputs)``.

    ``class_names`` is empty for a regression. ``integer`` says whether the classes are whole numbers.
    ``reason`` says why the targets are taken as classes or as values.
    """

    y: Array
    class_names: tuple[str, ...]
    reason: str
    integer: bool = False


class TableDataset(Dataset):
    """A data frame with a column for each input, and columns for the target.

    Options:
        task: "classification", "regression", "multilabel" (target is a list of columns of 0 and 1, one for
            each class), or "auto". With "auto", a target column is a classification if it holds text, true
            and false, or whole numbers with at most 20 different values, each at least twice on average.
            Several target columns of 0 and 1 are multilabel. All other targets are a regression.
        categorical: columns whose values are categories, in addition to text columns; null: none.
        dates: columns whose values are dates, in addition to columns that look like dates; null: none.
        keep: columns that stay inputs even if they look like identifiers or have only one value; null: none.
        ignore: columns that are left out; null: none.
        encoding: how categories become inputs: "one_hot" (a column of 0 and 1 for each category) or "codes"
            (the category's number, from 0, for the layer embedding).
        max_categories: the largest number of categories that a column keeps, at least 1; the rarest
            categories above this number are merged into the category other.
        split_by: the column by which the rows are split. split=group keeps all rows with the same value of
            this column in one part, and the column is not an input; split=time holds out the rows with the
            latest values. null: none.
    """

    own = True

    def __init__(
        self,
        *,
        source: str,
        task: str,
        categorical: list[str] | None,
        dates: list[str] | None,
        keep: list[str] | None,
        ignore: list[str] | None,
        encoding: str,
        max_categories: int,
        split_by: str | None,
    ) -> None:
        if task not in ("auto", "classification", "regression", "multilabel"):
            raise ValueError(f"task must be auto, classification, regression or multilabel, not {task!r}")
        if encoding not in ("one_hot", "codes"):
            raise ValueError(f"encoding must be one_hot or codes, not {encoding!r}")
        check_range("max_categories", max_categories, minimum=1)
        if (split_by is not None) != (self.shared.split in ("group", "time")):
            raise ValueError(
                "split=group and split=time need split_by=<column>; other splits have no split_by"
            )
        self.source, self.task, self.split_by = source, task, split_by
        self.ignore = tuple(ignore or ())
        self.rules = ColumnRules(
            tuple(categorical or ()), tuple(dates or ()), tuple(keep or ()), encoding, max_categories
        )
        self.targets: tuple[str, ...] = ()
        self.weight: str | None = None
        self.split_column: str | None = None

    def splits(
        self,
        frame: pd.DataFrame,
        parts: NDArray[np.str_],
        weights: NDArray[np.float64] | None = None,
        rows_in_file: FrameFile | None = None,
    ) -> Splits:
        """Split the table into training, validation and test part, and separate inputs from targets.

        Args:
            frame: all rows of all parts. With ``rows_in_file``, the frame may lack the input columns.
            parts: the part that each row belongs to, one of ``PARTS``.
            weights: the weight of every row; ``None``: the weights are in the column that the option
                ``weight`` names, or all rows count the same.
            rows_in_file: the same rows with all columns, if the inputs stay in their file; ``None``:
                ``frame`` has all columns.
        """
        inputs, targets = self._columns(frame.columns if rows_in_file is None else rows_in_file.columns)
        read = self._read_targets(frame[list(targets)])
        known = read.y >= 0 if read.y.ndim == 1 else ~np.isnan(read.y).any(1)
        unlabeled = len(frame) - int(known.sum())
        rows = np.flatnonzero(known)
        frame, parts, y = frame.iloc[rows], parts[rows], read.y[rows]
        if self.weight is not None:
            weights = self._read_weights(frame[self.weight], self.weight)
        elif weights is not None:
            weights = weights[rows]
        keys = None if self.split_by is None else self._read_keys(frame[self.split_by])
        # The inputs are not yet numbers: their encoding is learned later, from the training rows alone.
        x = cast(Array, frame[inputs] if rows_in_file is None else rows_in_file.with_columns(inputs)[rows])
        table = Table(x, y, weights, keys)
        tables = {part: table.part(parts == part) for part in PARTS if (parts == part).any()}
        if "train" not in tables:
            raise UsageError(f"{self.source}: no row of the training part has a target")
        notes = (f"{unlabeled:,} rows without {' and '.join(targets)} are left out",) if unlabeled else ()
        return Splits(
            tables["train"],
            tables.get("validation"),
            tables.get("test"),
            class_names=read.class_names,
            target_names=targets,
            integer_classes=read.integer,
            columns=self.rules,
            ignored=tuple(name for name in self.ignore if name not in targets),
            task_reason=read.reason,
            notes=notes,
        )

    def _check_column(self, names: Collection[str], option: str, column: str) -> None:
        if column not in names:
            raise UsageError(
                f"dataset.{option}: {self.source} has no column {column!r}; {nearest(column, names)}"
            )

    def _columns(self, names: Collection[str]) -> tuple[list[str], tuple[str, ...]]:
        """The names of the inputs and of the targets."""
        named = {
            "target": self.targets,
            "weight": (self.weight,) if self.weight else (),
            "split_by": (self.split_by,) if self.split_by else (),
            "ignore": self.ignore,
            "categorical": self.rules.categorical,
            "dates": self.rules.dates,
            "keep": self.rules.keep,
        }
        for option, columns in named.items():
            for column in columns:
                self._check_column(names, option, column)
        special = {*self.ignore, self.weight, self.split_column} - {None}
        if self.shared.split == "group":
            special.add(self.split_by)
        free = [column for column in names if column not in special]
        for column in self.targets:
            if column in special:
                raise UsageError(
                    f"dataset.target={column} cannot also be in ignore, or be the weight or split column"
                )
        targets = self.targets or tuple(free[-1:])
        inputs = [column for column in free if column not in targets]
        if not targets or not inputs:
            raise UsageError(
                f"{self.source} has no columns left for inputs; its columns are {', '.join(names)}"
            )
        return inputs, targets

    def _read_targets(self, frame: pd.DataFrame) -> Targets:
        """The targets. A missing class is −1, any other missing target is NaN."""
        task, reason = self._task(frame)
        if task == "classification":
            codes, names, integer = _classes(frame.iloc[:, 0])
            if len(names) < 2:
                raise UsageError(
                    f"{self.source}: the target {frame.columns[0]} has {len(names)} class; "
                    "expected at least 2"
                )
            return Targets(codes, names, reason, integer)
        columns = [_numbers(frame[name], "target", str(name)) for name in frame.columns]
        names = tuple(frame.columns) if task == "multilabel" else ()
        return Targets(np.column_stack(columns), names, reason)

    def _task(self, frame: pd.DataFrame) -> tuple[str, str]:
        """The task of these targets, and the reason for the task, which is shown to the user."""
        kinds = {str(name): _kind(frame[name], str(name)) for name in frame.columns}
        texts = [name for name, kind in kinds.items() if kind == "text"]
        for name in texts:
            _refuse_texts_of_numbers(frame[name], name)
        if texts and (len(kinds) > 1 or self.task in ("regression", "multilabel")):
            raise UsageError(f"dataset.task={self.task}: the target {texts[0]} is text; expected numbers")
        if self.task == "classification" and len(kinds) > 1:
            raise UsageError(
                "dataset.task=classification predicts one column, not several; see dataset.task=multilabel"
            )
        if self.task != "auto":
            return self.task, f"dataset.task={self.task}"
        if len(kinds) > 1:
            values = np.unique(frame.to_numpy(np.float64, na_value=np.nan))
            if set(values[~np.isnan(values)]) <= {0.0, 1.0}:
                return "multilabel", f"{len(kinds)} columns of 0 and 1"
            return "regression", f"{len(kinds)} columns of numbers"
        ((name, kind),) = kinds.items()
        if kind == "bool":
            return "classification", "true and false"
        if kind == "text":
            return "classification", f"{frame[name].nunique():,} different texts"
        values = _numbers(frame[name], "target", name)
        different = frame[name].nunique()
        if _few_whole(values):
            return "classification", f"{different:,} different whole numbers, each at least twice on average"
        whole = (values == np.round(values)) | np.isnan(values)
        return "regression", f"{different:,} different {'whole ' if whole.all() else ''}numbers"

    def _read_weights(self, column: pd.Series, name: str) -> Array:
        weights = _numbers(column, "weight", name)
        if np.isnan(weights).any():
            raise UsageError(f"{self.source}: {int(np.isnan(weights).sum())} rows have no weight {name}")
        return weights

    def _read_keys(self, column: pd.Series) -> Array:
        """The column ``split_by`` as whole numbers: each row's group (split=group) or rank in time."""
        import pandas as pd

        if self.shared.split == "time" and not pd.api.types.is_numeric_dtype(column):
            column = pd.to_datetime(column, utc=True, format=None)
        keys = pd.factorize(column, sort=True)[0]
        if (keys < 0).any():
            raise UsageError(
                f"{self.source}: {(keys < 0).sum()} rows have no value in the column {column.name} (split_by)"
            )
        return keys.astype(np.intp)


class FrameDataset(TableDataset):
    """Your own table in a file.

    Options:
        file: path of the file; a relative path is looked up in the working directory, then in data_dir.
        target: the column to predict, or a list of columns; null: the last column of the table that is not
            ignored, and is not the column of weights, parts (split_column) or groups (split=group).
        weight: the column with the rows' weights, each at least 0; null: all rows count the same.
        split_column: the column that says in which part a row is: train, validation or test; null: none.
        validation_file: a file that has the same columns and holds the validation part; null: none.
        test_file: a file that has the same columns and holds the test part; null: none.
        in_memory: whether the whole table is read into memory. If false, the rows are converted to numbers
            before training and kept in a temporary file in the run's folder; means, categories and the like
            are learned from a sample of the training rows. null: true if the files have at most 1 GB.
    """

    shared = Preparation(validation=0.1, test=0.2, split="stratified", scaling="standard", missing="impute")
    format: ClassVar[str]

    def __init__(
        self,
        *,
        file: str,
        target: str | list[str] | None = None,
        task: str = "auto",
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
        if split_column is not None and (validation_file or test_file):
            raise ValueError("split_column cannot be combined with validation_file or test_file")
        super().__init__(
            source=file,
            task=task,
            categorical=categorical,
            dates=dates,
            keep=keep,
            ignore=ignore,
            encoding=encoding,
            max_categories=max_categories,
            split_by=split_by,
        )
        self.file, self.validation_file, self.test_file = file, validation_file, test_file
        self.targets = (target,) if isinstance(target, str) else tuple(target or ())
        self.weight, self.split_column, self.in_memory = weight, split_column, in_memory

    @abstractmethod
    def read(self, path: Path) -> pd.DataFrame:
        """Read the file's table. Raises ``UsageError`` if the file holds no table."""

    @abstractmethod
    def blocks(self, path: Path, rows: int, texts: Collection[str] = ()) -> Iterator[pd.DataFrame]:
        """Read the file's table in blocks of about ``rows`` rows.

        Args:
            path: the file.
            rows: the number of rows in a block.
            texts: columns that hold text in some block, and must be read as text in all blocks.

        Raises:
            UsageError: the file holds no table.
        """

    def load(self, context: DataContext) -> Splits:
        files = {"file": self.file, "validation_file": self.validation_file, "test_file": self.test_file}
        paths = {
            part: find_file(context, option, file)
            for part, (option, file) in zip(PARTS, files.items(), strict=True)
            if file is not None
        }
        size = sum(path.stat().st_size for path in paths.values())
        if size <= LARGE if self.in_memory is None else self.in_memory:
            return self.splits(*self._read_parts(paths))
        return self._read_outside(paths)

    def _read_outside(self, paths: Mapping[str, Path]) -> Splits:
        """Read the targets, weights and the like of all rows. The inputs stay in their files until later."""
        import pandas as pd

        first = next(self.blocks(paths["train"], BLOCK_ROWS), None)
        if first is None or not len(first):
            raise UsageError(f"{paths['train']} has no rows")
        names = tuple(map(str, first.columns))
        inputs, _ = self._columns(names)
        others = [name for name in names if name not in inputs]
        frames, parts, texts = [], [], set[str]()
        for part, path in paths.items():
            for block in self.blocks(path, BLOCK_ROWS):
                self._check_same_columns(path, names, block)
                texts |= {name for name in inputs if block[name].dtype == object}
                frames.append(block[others])
                parts.append(np.repeat(part, len(block)))
        frame, part_of_row = pd.concat(frames, ignore_index=True), np.concatenate(parts)
        if self.split_column is not None:
            part_of_row = self._parts_of_rows(frame, self.split_column)

        def read() -> Iterator[pd.DataFrame]:
            for path in paths.values():
                yield from self.blocks(path, BLOCK_ROWS, texts)

        rows = FrameFile(read, names, np.ones(len(frame), bool))
        return self.splits(frame, part_of_row, rows_in_file=rows)

    def _check_same_columns(self, path: Path, names: Collection[str], frame: pd.DataFrame) -> None:
        for column in names:
            if column not in frame.columns:
                raise UsageError(f"{path} lacks the column {column!r}; {nearest(column, frame.columns)}")

    def _read_parts(self, paths: Mapping[str, Path]) -> tuple[pd.DataFrame, NDArray[np.str_]]:
        """All rows, and the part that each row belongs to."""
        import pandas as pd  # imported late, because importing pandas takes a second

        frames: dict[str, pd.DataFrame] = {}
        for part, path in paths.items():
            frame = self._read_file(path)
            columns = frames["train"].columns if frames else frame.columns
            self._check_same_columns(path, columns, frame)
            frames[part] = frame.loc[:, columns]
        frame = pd.concat(frames.values(), ignore_index=True) if len(frames) > 1 else frames["train"]
        if self.split_column is not None:
            return frame, self._parts_of_rows(frame, self.split_column)
        return frame, np.repeat(list(frames), [len(part) for part in frames.values()])

    def _read_file(self, path: Path) -> pd.DataFrame:
        frame = self.read(path)
        if not len(frame):
            raise UsageError(f"{path} has no rows")
        return frame

    def _parts_of_rows(self, frame: pd.DataFrame, column: str) -> NDArray[np.str_]:
        self._check_column(frame.columns, "split_column", column)
        known, missing = ", ".join(PARTS), int(frame[column].isna().sum())
        if missing:
            raise UsageError(
                f"dataset.split_column={column} has no value in {missing:,} rows; expected {known}"
            )
        parts: NDArray[np.str_] = frame[column].astype(str).to_numpy(str)
        unknown = sorted(set(parts.tolist()) - set(PARTS))
        if unknown:
            raise UsageError(f"dataset.split_column={column} has {unknown[0]!r}; expected {known}")
        if "train" not in parts:
            raise UsageError(f"dataset.split_column={column} has the value train in no row")
        return parts


def refuse_same_names(path: Path, names: Sequence[str]) -> None:
    """Raise ``UsageError`` if two columns of a file have the same name."""
    for name, count in Counter(names).items():
        if count > 1:
            raise UsageError(f"{path}: {count} columns are called {name!r}; expected one")


def _kind(column: pd.Series, name: str) -> str:
    """The kind of a column's values: text, bool or number. Raises ``UsageError`` for dates and the like."""
    import pandas as pd

    kinds = {"string": "text", "categorical": "text", "boolean": "bool"}
    kinds |= dict.fromkeys(("integer", "floating", "mixed-integer-float", "decimal", "empty"), "number")
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred not in kinds:
        raise UsageError(
            f"the target {name} is of the type {inferred}; expected numbers, text, or true and false"
        )
    return kinds[inferred]


def _numbers(column: pd.Series, option: str, name: str) -> NDArray[np.float64]:
    """A column's numbers; a missing value is NaN, true is 1, false is 0."""
    if _kind(column, name) == "text":
        raise UsageError(f"dataset.{option}: the column {name} must be numbers, and is text")
    try:
        values: NDArray[np.float64] = column.to_numpy(np.float64, na_value=np.nan)
    except OverflowError as error:  # a whole number of more than 308 digits
        raise UsageError(f"the column {name} has numbers that are too large: {error}") from error
    if np.isinf(values).any():
        raise UsageError(f"dataset.{option}: the column {name} has infinite values; expected finite numbers")
    return values


def _few_whole(values: NDArray[np.float64]) -> bool:
    known = values[~np.isnan(values)]
    different = len(np.unique(known))
    return bool((known == np.round(known)).all()) and different <= min(FEW, len(known) / 2)


def _classes(column: pd.Series) -> tuple[NDArray[np.intp], tuple[str, ...], bool]:
    import pandas as pd

    codes, values = pd.factorize(column.astype(object), sort=True)
    whole = all(isinstance(value, int | float | np.number) and float(value).is_integer() for value in values)
    integer = whole and not any(isinstance(value, bool | np.bool_) for value in values)
    names = tuple(str(int(value)) if integer else str(value) for value in values)
    return codes.astype(np.intp), names, integer


def _refuse_texts_of_numbers(column: pd.Series, name: str) -> None:
    """Refuse a target of texts that look like numbers. The file was read with the wrong number marks."""
    texts: list[Any] = column.dropna().unique().tolist()
    if texts and all(isinstance(text, str) and LIKE_A_NUMBER.match(text) for text in texts):
        comma = any("," in text for text in texts)
        hint = "a decimal comma (dataset.decimal=',') or a thousands mark (dataset.thousands=',')"
        raise UsageError(
            f"the target {name} is text that looks like numbers, such as {texts[0]!r}.\n"
            + (
                f"The likely reason is {hint}."
                if comma
                else "Remove all characters that are not part of a number."
            )
        )
