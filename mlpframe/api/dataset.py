"""What a data set implements."""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .component import Array, Task, check_range

Frame = Any
"""A pandas data frame. pandas is not imported here: importing pandas takes a second."""


@dataclass(frozen=True)
class Table:
    """Inputs ``x`` ``(n, features)`` and targets ``y``: class numbers ``(n,)`` or values ``(n, k)``.

    If a row may have several classes (multilabel), ``y`` is ``(n, classes)``: 1 for each class that the row
    has, and 0 for each class that it does not have.

    ``x`` may be a memory-mapped file that is larger than the memory. In an ``x`` that is not mapped, NaN
    stands for a missing value. ``weights`` ``(n,)``, at least 0, say how much each row counts in the loss;
    with ``None``, all rows count the same. ``keys`` ``(n,)`` are needed to hold out rows: the number of each
    row's group with ``split=group``, and each row's time with ``split=time``.
    """

    x: Array
    y: Array
    weights: Array | None = None
    keys: Array | None = None

    def __len__(self) -> int:
        return len(self.x)

    def part(self, rows: Any) -> Table:
        """A table of the rows that a slice, mask or array of row numbers selects."""
        x, y, weights, keys = (_rows(array, rows) for array in (self.x, self.y, self.weights, self.keys))
        return Table(x, y, weights, keys)

    @property
    def mapping(self) -> mmap.mmap | None:
        """The mapped file that holds ``x``; ``None`` if ``x`` is not mapped."""
        base: Any = self.x
        while base is not None and not isinstance(base, mmap.mmap):
            base = getattr(base, "base", None)
        return base

    def release(self) -> None:
        """Release the memory that a mapped file occupies.

        The operating system reads the file again when the rows are used again.
        """
        mapping = self.mapping
        # an operating system without madvise takes the memory back by itself when memory is short
        if mapping is not None and hasattr(mapping, "madvise") and hasattr(mmap, "MADV_DONTNEED"):
            mapping.madvise(mmap.MADV_DONTNEED)


class FrameFile:
    """Rows of a table that stay in their file, and are read some rows at a time, in the file's order.

    Args:
        read: reads the whole file; yields data frames of consecutive rows.
        columns: the names of the columns that are used.
        selected: a truth value for every row of the file, ``(rows of the file,)``: whether the row is used.
    """

    ndim: ClassVar[int] = 2

    def __init__(
        self,
        read: Callable[[], Iterator[Frame]],
        columns: tuple[str, ...],
        selected: NDArray[np.bool_],
    ) -> None:
        self._read, self.columns, self._selected = read, columns, selected

    def __len__(self) -> int:
        return int(self._selected.sum())

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), len(self.columns)

    def __getitem__(self, rows: Any) -> FrameFile:
        """Select rows by a slice, a mask or an array of rising row numbers, without reading the file."""
        selected = np.zeros_like(self._selected)
        selected[np.flatnonzero(self._selected)[rows]] = True
        return FrameFile(self._read, self.columns, selected)

    def with_columns(self, columns: Sequence[str]) -> FrameFile:
        """The same rows with these columns only."""
        return FrameFile(self._read, tuple(columns), self._selected)

    def blocks(self) -> Iterator[Frame]:
        """Read the file; yields the selected rows and columns as data frames of consecutive rows."""
        begin, end = 0, int(np.flatnonzero(self._selected)[-1]) + 1
        for frame in self._read():
            if begin >= end:
                break
            chosen = np.flatnonzero(self._selected[begin : begin + len(frame)])
            begin += len(frame)
            if len(chosen):
                yield frame[list(self.columns)].iloc[chosen]


def _rows(values: Any, rows: Any) -> Any:
    if values is None:
        return None
    return values.iloc[rows] if hasattr(values, "iloc") else values[rows]


@dataclass(frozen=True)
class ColumnRules:
    """What the user says about the columns of a data frame, where mlpframe shall not decide by their values.

    Args:
        categorical: columns of categories, whatever their values look like.
        dates: columns of dates, whatever their values look like.
        keep: columns that are used although they look like identifiers, or have one value only.
        encoding: how categories become inputs: "one_hot" or "codes".
        max_categories: the largest number of categories of a column that have an input of their own. The most
            frequent categories have their own inputs, and all rarer categories share one input.
    """

    categorical: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    encoding: str = "one_hot"
    max_categories: int = 1000


@dataclass(frozen=True)
class Shapes:
    """The inputs and outputs that a network must have for a data set.

    Args:
        inputs: number of input features.
        outputs: number of outputs: one for each class, or one for each target value.
        task: whether one class, several classes or values are predicted.
        codes: for each input that holds category numbers: the input's position → the number of categories.
        image: height and width, if a row of inputs is an image.
    """

    inputs: int
    outputs: int
    task: Task
    codes: Mapping[int, int] = field(default_factory=dict)
    image: tuple[int, int] | None = None


@dataclass(frozen=True)
class Splits:
    """A data set as loaded: its parts (train, validation, test) and the names of classes and features.

    A part that the data set lacks is ``None``.

    ``class_names`` and the shape of the targets determine the task. Without class names, the task is
    regression. With class names, targets that are class numbers ``(n,)`` make the task classification, and
    targets that are 0 or 1 for each class ``(n, classes)`` make the task multilabel.

    ``columns`` is set if the inputs ``x`` of every part are a pandas data frame, as it was read, or a
    ``FrameFile``. mlpframe then converts the columns of ``x`` to numbers, by rules that mlpframe learns from
    the training rows.

    ``categorical`` lists the columns of an array ``x`` that stand for categories and are therefore never
    scaled. Such a column holds either 0 and 1, or category numbers. For a column of category numbers,
    ``code_names`` maps the feature name to the names of the categories.

    ``target_names`` are the names of the target columns. ``integer_classes`` says that the classes are whole
    numbers in the user's table. ``ignored`` are columns that the user left out. ``task_reason`` says by which
    property of the targets mlpframe chose the task, such as "9 different texts". ``notes`` are sentences that
    tell the user what was read.
    """

    train: Table
    validation: Table | None = None
    test: Table | None = None
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    image_shape: tuple[int, int] | None = None
    categorical: tuple[int, ...] = ()
    code_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    columns: ColumnRules | None = None
    target_names: tuple[str, ...] = ()
    integer_classes: bool = False
    ignored: tuple[str, ...] = ()
    task_reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def task(self) -> Task:
        if not self.class_names:
            return "regression"
        return "multilabel" if self.train.y.ndim == 2 else "classification"

    @property
    def n_outputs(self) -> int:
        return len(self.class_names) or self.train.y.shape[1]

    @property
    def shapes(self) -> Shapes:
        """The inputs and outputs that a network must have for these data."""
        codes = {self.feature_names.index(name): len(names) for name, names in self.code_names.items()}
        return Shapes(self.train.x.shape[1], self.n_outputs, self.task, codes, self.image_shape)


@dataclass(frozen=True)
class Preparation:
    """How every data set is prepared.

    If a data set comes without a validation or test part, that part is held out of the training part. Row
    weights affect the loss only: the means and deviations for scaling and imputing count every row of the
    training part once, whatever the row's weight. Rows without a target are left out.

    Options:
        validation: rows held out for validation: a number of rows, or a fraction (below 1) of the training
            rows, but at least one row; 0: none.
        test: rows held out for the test: a number of rows, or a fraction as for validation; 0: none.
        split: how rows are held out: "stratified" (random, every class in proportion), "random", "last", or,
            for tables with split_by, "group" (random, all rows of a group in one part) or "time" (the latest
            rows). Stratified needs one class for each row; with other targets, it is the same as random.
        folds: cross-validation: the rows are divided into this many folds, and one fold is the validation
            part; 0: none. With split=last or split=time, only the rows before the fold are trained on.
        fold: the number of the fold that is the validation part, from 0.
        scaling: how the inputs are scaled, by the training part: "none", "standard" (mean 0 and standard
            deviation 1) or "robust" (median 0 and interquartile range 1, smoothly limited to −3 and 3).
        scale_target: whether a regression trains on targets of mean 0 and standard deviation 1. Metrics,
            figures and predictions are always in the target's own unit. null: true for a loss that depends
            only on the distance between prediction and target, as mse does; else false.
        missing: what happens to missing inputs: "error" (refused), "drop" (their rows are left out), "impute"
            (replaced by the column's mean in the training part, also at prediction; in a column of
            categories, "missing" becomes a category) or "indicate" (imputed, and an additional input is 1
            where the value was missing).
    """

    validation: int | float = 0.2
    test: int | float = 0.2
    split: str = "random"
    folds: int = 0
    fold: int = 0
    scaling: str = "none"
    scale_target: bool | None = None
    missing: str = "error"

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            value = getattr(self, name)
            check_range(name, value, minimum=0)
            if value >= 1 and not float(value).is_integer():
                raise ValueError(f"{name} must be a fraction below 1 or a number of rows, not {value}")
        choices = {
            "split": ("stratified", "random", "last", "group", "time"),
            "scaling": ("none", "standard", "robust"),
            "missing": ("error", "drop", "impute", "indicate"),
        }
        for name, values in choices.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} must be one of {', '.join(values)}, not {getattr(self, name)!r}")
        if self.folds:
            check_range("folds", self.folds, minimum=2)
        check_range("fold", self.fold, minimum=0, maximum=max(0, self.folds - 1))


@dataclass(frozen=True)
class DataContext:
    """The folder of data files, and the random stream for generated data."""

    data_dir: Path
    rng: np.random.Generator


class Dataset(ABC):
    """The source of a run's data: reads the data from files, or generates them."""

    kind: ClassVar[str] = "dataset"
    name: ClassVar[str]
    own: ClassVar[bool] = False
    """Whether the data are the user's own. If so, the run prints before training how it read the columns."""
    shared: Preparation = Preparation()
    """Values of the options of every data set; set first, so that ``__init__`` can refuse a combination."""

    @abstractmethod
    def load(self, context: DataContext) -> Splits:
        """Read or generate the data. If a file is missing, ``UsageError`` says which file to put where."""
