"""Turn a loaded data set into the arrays of a run: hold out, impute, standardize, convert to the dtype."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...api import Array, DataContext, Dataset, Splits, Table, UsageError
from ..rng import Streams
from .missing import column_means, filled, without_gaps

VARIABLE = "MLPFRAME_DATA"


@dataclass(frozen=True)
class Data:
    """The arrays of a run.

    ``splits`` describes the data. ``train`` is the part to train on; ``validation`` and ``test`` may be
    ``None``. ``shift`` and ``scale`` standardize the inputs: x = (raw − shift) / scale. ``fill`` replaces
    missing values of the raw inputs. Each of these three is ``None`` if it was not used.
    """

    name: str
    splits: Splits
    train: Table
    validation: Table | None
    test: Table | None
    shift: Array | None
    scale: Array | None
    fill: Array | None = None


def data_folder(configured: str | None) -> Path:
    """The folder of data files: as configured, else ``MLPFRAME_DATA``, else the user's cache folder."""
    folder = configured or os.environ.get(VARIABLE)
    if folder:
        return Path(folder).expanduser().resolve()
    from platformdirs import user_cache_path

    return user_cache_path("mlpframe")


def load_data(dataset: Dataset, folder: Path, dtype: str, streams: Streams, *, final: bool) -> Data:
    """Load a data set and prepare it as its options say.

    Args:
        dataset: the data set, with its ``Preparation`` in ``shared``.
        folder: the folder of data files.
        dtype: the type of the inputs, and of targets that are not class numbers.
        streams: the stream ``dataset`` draws data, and ``split`` draws the rows to hold out.
        final: train on training and validation data together and keep the test part.
    """
    try:
        splits = dataset.load(DataContext(folder, streams["dataset"]))
    except (ValueError, OverflowError, MemoryError) as error:  # more rows than fit into memory, for instance
        raise UsageError(f"dataset={dataset.name} cannot be loaded with these options: {error}") from error
    _check(splits, dataset.name)
    rules = dataset.shared
    splits = without_gaps(splits, rules.missing, dataset.name)
    train, validation, test = splits.train, splits.validation, splits.test
    rng = streams["split"]

    def rows(amount: float) -> int:
        return round(amount * len(splits.train)) if amount < 1 else int(amount)

    if test is None and rules.test:
        train, test = _hold_out(train, rows(rules.test), rules.split, rng, "test")
    if validation is None and rules.validation:
        with_validation = train
        train, validation = _hold_out(train, rows(rules.validation), rules.split, rng, "validation")
        if final:
            train = with_validation  # keeps the order of its rows
    elif final and validation is not None:
        train = _joined(train, validation)
    if final:
        validation = None
        if test is None:
            raise UsageError(
                f"final=true needs a test part, and dataset={dataset.name} has none: "
                "set dataset.test to a number or fraction of rows"
            )
    else:
        test = None

    fill = shift = scale = None
    if rules.missing == "impute":
        fill = column_means(train.x, splits.feature_names, dataset.name)
        train = replace(train, x=filled(train.x, fill))
    if rules.standardize and train.mapping is not None:
        raise UsageError(
            f"dataset={dataset.name} is mapped from a file and cannot be standardized: "
            "set dataset.standardize=false"
        )
    if rules.standardize:
        shift, scale = train.x.mean(0, np.float64), train.x.std(0, np.float64)
        scale[scale <= 1e-12 * np.abs(shift)] = 1  # a constant feature stays constant
        shift[list(splits.categorical)], scale[list(splits.categorical)] = 0, 1

    def prepared(table: Table) -> Table:
        x, y = filled(table.x, fill), table.y
        if table.mapping is not None and x.dtype != dtype:
            raise UsageError(
                f"dataset={dataset.name} is mapped from a file of {x.dtype}: set dtype={x.dtype}"
            )
        if shift is not None:
            x = (x - shift) / scale
        y = np.ascontiguousarray(y, np.intp if y.ndim == 1 else dtype)
        weights = table.weights
        if weights is not None:
            weights = np.ascontiguousarray(weights / weights.mean(), dtype)
        return Table(np.ascontiguousarray(x, dtype), y, weights)

    return Data(
        dataset.name,
        splits,
        prepared(train),
        None if validation is None else prepared(validation),
        None if test is None else prepared(test),
        shift,
        scale,
        fill,
    )


def _check(splits: Splits, name: str) -> None:
    """Refuse data that would index beyond an array, or broadcast, in a loss."""
    classes, multilabel = len(splits.class_names), splits.task == "multilabel"
    target_axes = 1 if splits.task == "classification" else 2
    for part in (splits.train, splits.validation, splits.test):
        if part is None:
            continue
        if part.x.ndim != 2 or len(part.x) != len(part.y) or part.y.ndim != target_axes:
            raise UsageError(
                f"dataset={name}: x has shape {part.x.shape} and y has shape {part.y.shape}; "
                f"expected x (rows, features) and y {'(rows,)' if target_axes == 1 else '(rows, outputs)'}"
            )
        weights = part.weights
        if weights is not None and not (
            weights.shape == (len(part.x),) and weights.min() >= 0 < weights.sum()
        ):
            raise UsageError(
                f"dataset={name}: expected one weight per row, at least 0, and not all weights 0"
            )
        if multilabel:
            _check_multilabel(part.y, classes, name)
        elif classes and len(part.y) and not 0 <= part.y.min() <= part.y.max() < classes:
            raise UsageError(
                f"dataset={name}: class numbers go from {part.y.min()} to {part.y.max()}; "
                f"expected 0 to {classes - 1} for {classes} classes"
            )


def _check_multilabel(y: Array, classes: int, name: str) -> None:
    if y.shape[1] != classes or y.dtype.kind not in "biuf":
        raise UsageError(
            f"dataset={name}: the targets of {classes} classes are 0 or 1 for each class, "
            f"not {y.dtype} of shape {y.shape}"
        )
    strange = y[(y != 0) & (y != 1) & ~np.isnan(y)]  # NaN is a missing target
    if strange.size:
        raise UsageError(
            f"dataset={name}: the targets of several classes a row are 0 or 1, not {strange[0]}; "
            "the values of a regression are floating-point numbers"
        )


def _hold_out(table: Table, held: int, how: str, rng: np.random.Generator, part: str) -> tuple[Table, Table]:
    n = len(table)
    if not 0 < held < n:
        raise UsageError(f"dataset.{part} would hold out {held} of {n} rows; expected 1 to {n - 1}")
    if how == "last":
        return table.part(slice(None, -held)), table.part(slice(-held, None))
    if table.mapping is not None:
        raise UsageError(f"dataset.split={how} would copy a mapped file into memory; use dataset.split=last")
    if how == "stratified" and table.y.ndim == 1:  # class numbers
        held_rows = _stratified(table.y, held, rng)
    else:
        held_rows = rng.permutation(n)[:held]
    mask = np.zeros(n, bool)
    mask[held_rows] = True
    return table.part(~mask), table.part(mask)


def _joined(first: Table, second: Table) -> Table:
    weights = None
    if first.weights is not None and second.weights is not None:
        weights = np.concatenate([first.weights, second.weights])
    return Table(np.concatenate([first.x, second.x]), np.concatenate([first.y, second.y]), weights)


def _stratified(y: Array, held: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """``held`` random row numbers, with every class in proportion; the largest remainders are rounded up."""
    classes, counts = np.unique(y, return_counts=True)
    share = counts * held / len(y)
    take = np.floor(share).astype(int)
    for i in np.argsort(take - share, kind="stable")[: held - take.sum()]:
        take[i] += 1
    rows = [rng.permutation(np.flatnonzero(y == c))[:k] for c, k in zip(classes, take, strict=True)]
    return np.concatenate(rows)


def same(first: Data, second: Data) -> bool:
    """Whether two runs have equal arrays in memory, as they do if nothing is drawn from their seeds.

    ``False`` for a mapped file.
    """
    if first.train.mapping is not None:
        return False
    parts = ((first.train, second.train), (first.validation, second.validation), (first.test, second.test))
    return all(
        (a is None and b is None)
        or (a is not None and b is not None and np.array_equal(a.x, b.x) and np.array_equal(a.y, b.y))
        for a, b in parts
    )
