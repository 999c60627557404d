"""What a data set implements."""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .component import Array, Task, check_range


@dataclass(frozen=True)
class Table:
    """Inputs ``x`` ``(n, features)`` and targets ``y``: class numbers ``(n,)`` or values ``(n, k)``.

    ``x`` may be mapped from a file that is larger than the memory; in others NaN is a missing value.
    ``weights`` ``(n,)``, at least 0, say how much each row counts in the loss; ``None``: all the same.
    """

    x: Array
    y: Array
    weights: Array | None = None

    def __len__(self) -> int:
        return len(self.x)

    def part(self, rows: Any) -> Table:
        """The rows that a slice, mask or array of row numbers chooses."""
        return Table(self.x[rows], self.y[rows], None if self.weights is None else self.weights[rows])

    @property
    def mapping(self) -> mmap.mmap | None:
        """The mapped file that ``x`` lies in, if it does."""
        base: Any = self.x
        while base is not None and not isinstance(base, mmap.mmap):
            base = getattr(base, "base", None)
        return base

    def release(self) -> None:
        """Let go of the memory that a mapped file takes; it is read again where it is needed."""
        mapping = self.mapping
        # elsewhere the system takes the memory back by itself where it is short of it
        if mapping is not None and hasattr(mapping, "madvise") and hasattr(mmap, "MADV_DONTNEED"):
            mapping.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class Shapes:
    """What a network has to connect: its inputs and its outputs.

    Args:
        inputs: number of input features.
        outputs: number of outputs: one for each class, or one for each target value.
        task: what is predicted.
        codes: how many categories an input has, by its position; for inputs that hold numbers of categories.
        image: height and width, where a row of inputs is an image.
    """

    inputs: int
    outputs: int
    task: Task
    codes: Mapping[int, int] = field(default_factory=dict)
    image: tuple[int, int] | None = None


@dataclass(frozen=True)
class Splits:
    """A data set as loaded: its parts and what they are. A part that it does not have is ``None``.

    ``categorical`` are the columns of ``x`` that stand for categories and so are never standardized: 0 or 1
    each, or the numbers of the categories. The names of the latter are ``code_names`` by feature name.
    """

    train: Table
    validation: Table | None = None
    test: Table | None = None
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    image_shape: tuple[int, int] | None = None
    categorical: tuple[int, ...] = ()
    code_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        return "classification" if self.class_names else "regression"

    @property
    def n_outputs(self) -> int:
        return len(self.class_names) or self.train.y.shape[1]

    @property
    def shapes(self) -> Shapes:
        """What a network for these data has to connect."""
        codes = {self.feature_names.index(name): len(names) for name, names in self.code_names.items()}
        return Shapes(self.train.x.shape[1], self.n_outputs, self.task, codes, self.image_shape)


@dataclass(frozen=True)
class Preparation:
    """How every data set is prepared.

    A part that the data set does not bring itself is held out of its training part. Weights of rows are for
    the loss alone: standardizing and imputing count every row of the training part once, whatever its weight.

    Options:
        validation: rows held out for validation: a number, or a fraction (below 1) of the training rows.
        test: rows held out for the test, in the same way.
        split: how rows are held out: "stratified" (random, every class in proportion), "random" or "last".
        standardize: subtract the mean and divide by the standard deviation of the training part.
        missing: what becomes of missing values: "error", "drop" (rows that have some are left out) or
            "impute" (the mean of the training part, also at prediction). A missing target is never imputed.
    """

    validation: int | float = 0.2
    test: int | float = 0.2
    split: str = "random"
    standardize: bool = False
    missing: str = "error"

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            value = getattr(self, name)
            check_range(name, value, minimum=0)
            if value >= 1 and not float(value).is_integer():
                raise ValueError(f"{name} must be a fraction below 1 or a number of rows, not {value}")
        if self.split not in ("stratified", "random", "last"):
            raise ValueError(f"split must be stratified, random or last, not {self.split!r}")
        if self.missing not in ("error", "drop", "impute"):
            raise ValueError(f"missing must be error, drop or impute, not {self.missing!r}")


@dataclass(frozen=True)
class DataContext:
    """Where data files are looked for, and the random stream for data that are drawn."""

    data_dir: Path
    rng: np.random.Generator


class Dataset(ABC):
    """Where the data come from."""

    kind: ClassVar[str] = "dataset"
    name: ClassVar[str]
    shared: Preparation = Preparation()
    """The shared options as they are given; set before ``__init__``, which may refuse a combination."""

    @abstractmethod
    def load(self, context: DataContext) -> Splits:
        """Read or draw the data. Raises ``UsageError`` that says which file to put where."""
