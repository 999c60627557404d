"""What csv and parquet share: a file with a column for each feature and a column for the target."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from mlpframe.api import Array, DataContext, Dataset, Preparation, Splits, Table, UsageError, nearest

from ._files import find_file

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("train", "validation", "test")
MISSING = "missing"
"""The name of the category for missing text, where missing values are imputed."""
FEW = 20
"""A whole-number target with at most this many values is classes; a text column with more may hold names."""
KINDS = {
    "string": "text",
    "categorical": "text",
    "boolean": "bool",
    "integer": "number",
    "floating": "number",
    "mixed-integer-float": "number",
    "decimal": "number",
    "empty": "number",
}
"""What a column holds, by the type that pandas infers."""


class FrameDataset(Dataset):
    """Your own table in a file.

    Options:
        file: path of the file, absolute or relative to the working directory; a file that is not there is
            looked for in data_dir.
        target: the column to predict; null: the last column that no other option names.
        task: "classification", "regression", or "auto": a classification if the target is text, true or
            false, of a category type, or whole numbers of at most 20 different values; else a regression.
        categorical: columns whose values are categories, in addition to text columns; null: none. A text
            column that has more than 20 different texts, and more than half as many as rows, is taken for
            names: list the column here if its texts are categories.
        encoding: how categories become inputs: "one_hot" (a column of 0 and 1 for each category) or "codes"
            (their numbers from 0, for a layer embedding).
        ignore: columns that are left out; null: none.
        weight: the column with the rows' weights, numbers from 0 on; null: all count the same.
        split_column: the column that says in which part a row is: train, validation or test; null: none.
        validation_file: a file of the same columns with the validation part; null: none.
        test_file: a file of the same columns with the test part; null: none.
    """

    shared = Preparation(validation=0.2, test=0.2, split="stratified", standardize=True)
    format: ClassVar[str]

    def __init__(
        self,
        *,
        file: str,
        target: str | None = None,
        task: str = "auto",
        categorical: list[str] | None = None,
        encoding: str = "one_hot",
        ignore: list[str] | None = None,
        weight: str | None = None,
        split_column: str | None = None,
        validation_file: str | None = None,
        test_file: str | None = None,
    ) -> None:
        if task not in ("auto", "classification", "regression"):
            raise ValueError(f"task must be auto, classification or regression, not {task!r}")
        if encoding not in ("one_hot", "codes"):
            raise ValueError(f"encoding must be one_hot or codes, not {encoding!r}")
        if split_column is not None and (validation_file or test_file):
            raise ValueError("split_column cannot be combined with validation_file or test_file")
        self.file, self.validation_file, self.test_file = file, validation_file, test_file
        self.target, self.task, self.weight, self.split_column = target, task, weight, split_column
        self.categorical, self.ignore = tuple(categorical or ()), tuple(ignore or ())
        self.encoding = encoding

    @abstractmethod
    def read(self, path: Path) -> pd.DataFrame:
        """Read the file's table. Raises ``OSError`` or ``ValueError`` if the file holds no table."""

    def load(self, context: DataContext) -> Splits:
        frame, parts = self._read_parts(context)
        inputs, target = self._columns(frame)
        present_parts = [part for part in PARTS if (parts == part).any()]
        complete = self._without_gaps(frame, inputs, target)
        frame, parts = frame[complete], parts[complete]
        for part in present_parts:
            if not (parts == part).any():
                raise UsageError(f"{self.file}: every row of the {part} part has missing values")
        x, features, categorical, code_names = self._inputs(frame, inputs)
        y, class_names = self._targets(frame[target])
        weights = None if self.weight is None else _numbers(frame[self.weight], self.weight)
        table = Table(x, y, weights)
        tables = {part: table.part(parts == part) for part in present_parts}
        return Splits(
            tables["train"],
            tables.get("validation"),
            tables.get("test"),
            class_names=class_names,
            feature_names=tuple(features),
            categorical=tuple(categorical),
            code_names=code_names,
        )

    def _read_parts(self, context: DataContext) -> tuple[pd.DataFrame, NDArray[np.str_]]:
        """All rows, and the part that each row belongs to."""
        import pandas as pd  # here: importing it takes a second

        files = {"file": self.file, "validation_file": self.validation_file, "test_file": self.test_file}
        frames: dict[str, pd.DataFrame] = {}
        for part, (option, file) in zip(PARTS, files.items(), strict=True):
            if file is None:
                continue
            frame = self._read_file(context, option, file)
            columns = frames["train"].columns if frames else frame.columns
            for column in columns.difference(frame.columns):
                raise UsageError(f"{file} lacks the column {column!r}; {nearest(column, frame.columns)}")
            frames[part] = frame[columns]
        frame = pd.concat(frames.values(), ignore_index=True) if len(frames) > 1 else frames["train"]
        if self.split_column is not None:
            return frame, self._parts_of_rows(frame, self.split_column)
        return frame, np.repeat(list(frames), [len(frame_of_part) for frame_of_part in frames.values()])

    def _read_file(self, context: DataContext, option: str, file: str) -> pd.DataFrame:
        path = find_file(context, option, file)
        try:
            frame = self.read(path)
        except (OSError, EOFError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UsageError(f"{path} cannot be read as {self.format}: {reason}") from error
        if not len(frame):
            raise UsageError(f"{path} has no rows")
        frame.columns = frame.columns.map(str)
        return frame

    def _parts_of_rows(self, frame: pd.DataFrame, column: str) -> NDArray[np.str_]:
        self._check_column(frame, "split_column", column)
        codes, names = _categories(frame[column])
        unknown = [name for name in names if name not in PARTS]
        if unknown:
            known = ", ".join(PARTS)
            raise UsageError(f"dataset.split_column={column} has {unknown[0]!r}; expected {known}")
        if "train" not in names:
            raise UsageError(f"dataset.split_column={column} has the value train in no row")
        return np.array(names)[codes]

    def _check_column(self, frame: pd.DataFrame, option: str, column: str) -> None:
        if column not in frame.columns:
            raise UsageError(
                f"dataset.{option}: {self.file} has no column {column!r}; {nearest(column, frame.columns)}"
            )

    def _columns(self, frame: pd.DataFrame) -> tuple[list[str], str]:
        """The names of the inputs and of the target."""
        for option in ("target", "weight"):
            if getattr(self, option) is not None:
                self._check_column(frame, option, getattr(self, option))
        for option in ("categorical", "ignore"):
            for column in getattr(self, option):
                self._check_column(frame, option, column)
        special = {*self.ignore, self.weight, self.split_column} - {None}
        free = [column for column in frame.columns if column not in special]
        if self.target in special:
            raise UsageError(
                f"dataset.target={self.target} cannot also be in ignore, or be the weight or split column"
            )
        target = self.target if self.target is not None else free[-1] if free else None
        inputs = [column for column in free if column != target]
        if target is None or not inputs:
            raise UsageError(
                f"{self.file} has no columns left for inputs; its columns are {', '.join(frame.columns)}"
            )
        return inputs, target

    def _without_gaps(self, frame: pd.DataFrame, inputs: list[str], target: str) -> NDArray[np.bool_]:
        """Which rows are used: all, or with ``missing=drop`` the rows without missing values."""
        needed = [target] if self.weight is None else [target, self.weight]
        missing = frame[[*inputs, *needed]].isna()
        how = self.shared.missing
        if how == "drop":
            return ~missing.any(axis=1).to_numpy()
        counts = missing.sum()[lambda count: count > 0]
        named = ", ".join(f"{column} ({count})" for column, count in counts.items())
        if how == "error" and named:
            raise UsageError(
                f"{self.file}: missing values, counted by column: {named}\n"
                "dataset.missing=drop leaves out these rows, dataset.missing=impute fills in means and the "
                f"category {MISSING!r}"
            )
        for column in needed:
            if column in counts:
                raise UsageError(
                    f"{self.file}: the column {column} cannot be imputed, and has {counts[column]} missing "
                    "values; dataset.missing=drop leaves out these rows"
                )
        return np.ones(len(frame), bool)

    def _inputs(
        self, frame: pd.DataFrame, inputs: list[str]
    ) -> tuple[Array, list[str], list[int], dict[str, tuple[str, ...]]]:
        """The inputs, their names, the indices of the categorical inputs, and the names of the codes."""
        columns: list[Array] = []
        features: list[str] = []
        categorical: list[int] = []
        code_names: dict[str, tuple[str, ...]] = {}
        for name in inputs:
            column = frame[name]
            if name not in self.categorical and _kind(column, name) != "text":
                columns.append(_numbers(column, name))
                features.append(name)
                continue
            codes, names = _categories(column)
            if name not in self.categorical and len(names) > max(FEW, len(frame) / 2):
                raise UsageError(
                    f"{self.file}: the column {name} has {len(names)} different texts in {len(frame)} rows: "
                    "name it in dataset.ignore, or in dataset.categorical if its texts are categories"
                )
            first = len(features)
            if self.encoding == "codes":
                columns.append(codes)
                features.append(name)
                code_names[name] = names
            else:
                columns += [codes == code for code in range(len(names))]
                features += [f"{name}={category}" for category in names]
            categorical += range(first, len(features))
        x = np.empty((len(frame), len(columns)))
        for i, values in enumerate(columns):
            x[:, i] = values
        return x, features, categorical, code_names

    def _targets(self, column: pd.Series) -> tuple[Array, tuple[str, ...]]:
        name = str(column.name)
        kind, task = _kind(column, name), self.task
        if task == "regression" and kind == "text":
            raise UsageError(f"dataset.task=regression, but the target {name} is text")
        if task == "auto":
            few = kind != "number" or _few_whole(_numbers(column, name))
            task = "classification" if few else "regression"
        if task == "regression":
            return _numbers(column, name)[:, None], ()
        return _categories(column)


def _kind(column: pd.Series, name: str) -> str:
    """What a column holds: text, bool or number. Raises ``UsageError`` for dates, lists and the like."""
    import pandas as pd

    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred not in KINDS:
        raise UsageError(
            f"the column {name} is of the type {inferred}, not numbers, text, or true and false: name it in "
            "dataset.ignore, or in dataset.categorical if its values are categories"
        )
    return KINDS[inferred]


def _numbers(column: pd.Series, name: str) -> NDArray[np.float64]:
    """A column's numbers; a missing value is NaN, true is 1, false is 0."""
    if _kind(column, name) == "text":
        raise UsageError(f"the column {name} must be numbers, but is text")
    values: NDArray[np.float64] = column.to_numpy(np.float64, na_value=np.nan)
    if np.isinf(values).any():
        raise UsageError(f"the column {name} has infinite values; expected finite numbers")
    return values


def _few_whole(values: NDArray[np.float64]) -> bool:
    return bool((values == np.round(values)).all()) and len(np.unique(values)) <= FEW


def _categories(column: pd.Series) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """The number of every row's category, and the names of the categories, sorted by value.

    Missing values form the last category, or join a category that is already called ``missing``.
    """
    import pandas as pd

    codes, values = pd.factorize(column.astype(object), sort=True)
    names = [_category_name(value) for value in values]
    if (codes < 0).any():
        if MISSING not in names:
            names.append(MISSING)
        codes = np.where(codes < 0, names.index(MISSING), codes)
    return codes.astype(np.intp), tuple(names)


def _category_name(value: object) -> str:
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if is_whole else str(value)  # type: ignore[call-overload]
