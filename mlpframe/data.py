"""From a data set as loaded to the arrays of a run: parts held out, standardised, of the run's dtype."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .api import Array, DataContext, Dataset, Splits, Table, Transform, UsageError
from .network import one_hot
from .rng import Streams

VARIABLE = "MLPFRAME_DATA"
DIGEST_ROWS = 10_000
NAMED = 10
"""How many columns an error message names at most."""
BLOCK_BYTES = 4 << 20
"""Neighbouring rows of a mapped file that are read together."""
SHUFFLE_BYTES = 128 << 20
"""How much of a mapped file is shuffled among itself, and kept before it is let go of."""


@dataclass(frozen=True)
class Data:
    """The arrays of a run.

    ``splits`` says what the data are; ``train`` is what is trained on, ``validation`` and ``test`` may be
    ``None``. ``shift`` and ``scale`` are what the inputs were standardised with: x = (raw − shift) / scale.
    ``fill`` has what took the place of missing values of the raw inputs, if they were imputed.
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
    """Where data files are looked for: as configured, else ``MLPFRAME_DATA``, else the user's cache."""
    folder = configured or os.environ.get(VARIABLE)
    if folder:
        return Path(folder).expanduser().resolve()
    from platformdirs import user_cache_path

    return user_cache_path("mlpframe")


def load_data(dataset: Dataset, folder: Path, dtype: str, streams: Streams, *, final: bool) -> Data:
    """Load a data set and prepare it as its options say.

    Args:
        dataset: with its ``Preparation`` in ``shared``.
        folder: where data files are looked for.
        dtype: of the inputs, and of the targets of a regression.
        streams: ``dataset`` draws data, ``split`` draws the rows held out.
        final: train on training and validation data together and keep the test part.
    """
    splits = dataset.load(DataContext(folder, streams["dataset"]))
    _check(splits, dataset.name)
    rules = dataset.shared
    splits = _without_gaps(splits, rules.missing, dataset.name)
    train, validation, test = splits.train, splits.validation, splits.test
    rng = streams["split"]

    def rows(amount: float) -> int:
        return round(amount * len(splits.train)) if amount < 1 else int(amount)

    if test is None and rules.test:
        train, test = _hold_out(train, rows(rules.test), rules.split, rng, splits.class_names, "test")
    if validation is None and rules.validation:
        whole = train
        train, validation = _hold_out(
            train, rows(rules.validation), rules.split, rng, splits.class_names, "validation"
        )
        if final:
            train = whole  # in its own order
    elif final and validation is not None:
        train = _joined(train, validation)
    if final:
        validation = None
        if test is None:
            raise UsageError(
                f"final=true needs a test part, and dataset={dataset.name} has none: set dataset.test"
            )
    else:
        test = None

    fill = shift = scale = None
    if rules.missing == "impute":
        fill = _means(train.x, splits.feature_names, dataset.name)
        train = replace(train, x=filled(train.x, fill))
    if rules.standardize and train.mapping is not None:
        raise UsageError(f"dataset={dataset.name} is mapped from a file and cannot be standardized")
    if rules.standardize:
        shift, scale = train.x.mean(0, np.float64), train.x.std(0, np.float64)
        scale[scale <= 1e-12 * np.abs(shift)] = 1  # a constant feature stays constant
        shift[list(splits.categorical)], scale[list(splits.categorical)] = 0, 1

    def ready(table: Table) -> Table:
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
        ready(train),
        None if validation is None else ready(validation),
        None if test is None else ready(test),
        shift,
        scale,
        fill,
    )


def filled(x: Array, fill: Array | None) -> Array:
    """Inputs with each missing value replaced by its column's in ``fill``; ``None``: as they are."""
    return x if fill is None else np.where(np.isnan(x), fill, x)


def _without_gaps(splits: Splits, how: str, name: str) -> Splits:
    """The parts without missing values, but for those of inputs that are to be imputed."""
    tables = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    gaps = {}
    for part, table in tables.items():
        if table is not None and table.mapping is not None and how != "error":
            raise UsageError(f"dataset={name} is mapped from a file: dataset.missing must be error")
        found = None if table is None else _gaps(table, name)
        if found is not None:
            gaps[part] = found
    if how == "drop":
        kept = {part: getattr(splits, part).part(~(x.any(1) | y)) for part, (x, y) in gaps.items()}
        for part, table in kept.items():
            if not len(table):
                raise UsageError(f"dataset={name}: every row of its {part} part has missing values")
        return replace(splits, **kept)
    targets = sum(int(y.sum()) for _, y in gaps.values())
    if targets:
        raise UsageError(
            f"dataset={name}: {targets} targets are missing; dataset.missing=drop leaves out their rows"
        )
    inputs = sum((x.sum(0) for x, _ in gaps.values()), np.zeros(splits.train.x.shape[1], np.intp))
    if how == "error" and inputs.any():
        lacking = [f"{_feature(splits.feature_names, i)} ({inputs[i]})" for i in np.flatnonzero(inputs)]
        more = ", …" if len(lacking) > NAMED else ""
        raise UsageError(
            f"dataset={name}: values are missing (how many): {', '.join(lacking[:NAMED])}{more}\n"
            "dataset.missing=drop leaves out their rows, dataset.missing=impute fills in means"
        )
    return splits


def _gaps(table: Table, name: str) -> tuple[Array, Array] | None:
    """Which inputs ``(n, features)`` and whose targets ``(n,)`` are missing; ``None``: none.

    A mapped file is not looked through: that would read all of it.
    """
    if table.mapping is not None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(table.x.sum()) and np.isfinite(table.y.sum()):  # one quick pass
            return None
    if np.isinf(table.x).any() or np.isinf(table.y).any():
        raise UsageError(f"dataset={name} has infinite values")
    return np.isnan(table.x), np.any(np.isnan(table.y.reshape(len(table), -1)), axis=1)


def _means(x: Array, feature_names: tuple[str, ...], name: str) -> Array:
    """The mean of every column's values that are not missing."""
    gaps = np.isnan(x)
    known = len(x) - gaps.sum(0)
    if not known.all():
        lacking = _feature(feature_names, known.argmin())
        raise UsageError(
            f"dataset={name}: {lacking} has no value in the training part that could be imputed; leave it out"
        )
    means: Array = np.where(gaps, 0, x).sum(0, np.float64) / known
    return means


def _feature(names: tuple[str, ...], number: int | np.intp) -> str:
    return names[number] if names else f"input {number}"


def _check(splits: Splits, name: str) -> None:
    """Catch here what would index beyond an array, or broadcast, in a loss."""
    classes = len(splits.class_names)
    for part in (splits.train, splits.validation, splits.test):
        if part is None:
            continue
        if part.x.ndim != 2 or len(part.x) != len(part.y) or part.y.ndim != (1 if classes else 2):
            raise UsageError(
                f"dataset={name}: x of shape {part.x.shape} and y of shape {part.y.shape} are not a table"
            )
        weights = part.weights
        if weights is not None and not (
            weights.shape == (len(part.x),) and weights.min() >= 0 < weights.sum()
        ):
            raise UsageError(f"dataset={name}: weights are a number from 0 on for each row, not all 0")
        if classes and len(part.y) and not 0 <= part.y.min() <= part.y.max() < classes:
            raise UsageError(
                f"dataset={name}: class numbers from {part.y.min()} to {part.y.max()} for {classes} classes"
            )


def _hold_out(
    table: Table, held: int, how: str, rng: np.random.Generator, class_names: tuple[str, ...], part: str
) -> tuple[Table, Table]:
    n = len(table)
    if not 0 < held < n:
        raise UsageError(f"dataset.{part} would hold out {held} of {n} rows; expected 1 to {n - 1}")
    if how == "last":
        return table.part(slice(None, -held)), table.part(slice(-held, None))
    if table.mapping is not None:
        raise UsageError(f"dataset.split={how} would copy a mapped file into memory; use dataset.split=last")
    if how == "stratified" and class_names:
        chosen = _stratified(table.y, held, rng)
    else:
        chosen = rng.permutation(n)[:held]
    mask = np.zeros(n, bool)
    mask[chosen] = True
    return table.part(~mask), table.part(mask)


def _joined(one: Table, other: Table) -> Table:
    weights = None
    if one.weights is not None and other.weights is not None:
        weights = np.concatenate([one.weights, other.weights])
    return Table(np.concatenate([one.x, other.x]), np.concatenate([one.y, other.y]), weights)


class Pipeline:
    """The transforms of a run, applied to one block of training rows after the other.

    The numbers drawn for a block depend on the seed and the step it begins at alone. The next block is
    prepared in a thread while this one is trained on.

    Args:
        transforms: by name, in their order.
        splits: what the data are.
        streams: of the run.

    Raises:
        UsageError: a transform needs images, and the data are none.
    """

    def __init__(self, transforms: Mapping[str, Transform], splits: Splits, streams: Streams) -> None:
        self._transforms, self._splits, self._streams = transforms, splits, streams
        for name, transform in transforms.items():
            if transform.needs_images and splits.image_shape is None:
                raise UsageError(f"transforms.{name} is for images, and the rows of this data set are none")
        self.mixes = splits.task == "classification" and any(t.mixes for t in transforms.values())
        self._pool = ThreadPoolExecutor(1, "transforms")
        self._ahead: tuple[int, Future[Table]] | None = None

    def __bool__(self) -> bool:
        return bool(self._transforms)

    def table(self, table: Table, rows: NDArray[np.intp], step: int) -> Table:
        """The transformed rows of the block that begins at ``step``."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == step:
            return ahead[1].result()
        return self._apply(table, rows, step)

    def prepare(self, table: Table, rows: NDArray[np.intp], step: int) -> None:
        """Begin with the block that comes next."""
        self._ahead = step, self._pool.submit(self._apply, table, rows, step)

    def _apply(self, table: Table, rows: NDArray[np.intp], step: int) -> Table:
        chosen = table.part(rows)  # a copy
        shape = self._splits.image_shape or (1, table.x.shape[1])
        x, y = chosen.x.reshape(-1, *shape), chosen.y
        if self.mixes:
            y = one_hot(y, self._splits.n_outputs)
        for name, transform in self._transforms.items():
            x, y = transform.apply(x, y, self._streams.at(f"transform {name}", step))
        flat = np.ascontiguousarray(x.reshape(len(rows), -1), table.x.dtype)
        y = np.ascontiguousarray(y, table.x.dtype if y.ndim > 1 else np.intp)
        return Table(flat, y, chosen.weights)


def _stratified(y: Array, held: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """``held`` row numbers with every class in proportion, the largest remainders rounded up."""
    classes, counts = np.unique(y, return_counts=True)
    share = counts * held / len(y)
    take = np.floor(share).astype(int)
    for i in np.argsort(take - share, kind="stable")[: held - take.sum()]:
        take[i] += 1
    rows = [rng.permutation(np.flatnonzero(y == c))[:k] for c, k in zip(classes, take, strict=True)]
    return np.concatenate(rows)


def shuffled(table: Table, rng: np.random.Generator) -> NDArray[np.intp]:
    """A random order of a table's rows.

    Rows of a mapped file are shuffled in blocks: blocks of neighbouring rows are drawn in random order,
    and the rows of as many blocks as fit into ``SHUFFLE_BYTES`` are shuffled among each other. So what is
    read lies together, and what is in use at a time is bounded.
    """
    n = len(table)
    if table.mapping is None:
        return rng.permutation(n)
    row_bytes = table.x.strides[0]
    size = max(1, BLOCK_BYTES // row_bytes)
    blocks = rng.permutation(-(-n // size))
    together = max(1, SHUFFLE_BYTES // BLOCK_BYTES)
    order = np.empty(n, np.intp)
    end = 0
    for start in range(0, len(blocks), together):
        rows = [np.arange(b * size, min((b + 1) * size, n)) for b in blocks[start : start + together]]
        part = rng.permutation(np.concatenate(rows))
        order[end : end + len(part)] = part
        end += len(part)
    return order


def digest(table: Table) -> str:
    """Eight hexadecimal digits that identify a table: its shapes, types, and first 10,000 rows."""
    sha = hashlib.sha256()
    for array in (table.x, table.y):
        sha.update(f"{array.shape}{array.dtype}".encode())
        sha.update(np.ascontiguousarray(array[:DIGEST_ROWS]).data)
    return sha.hexdigest()[:8]


def describe(data: Data) -> list[dict[str, Any]]:
    """The parts of the data as plain values, for a tracker."""
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return [
        {
            "name": data.name,
            "context": context,
            "digest": digest(table),
            "rows": len(table),
            "features": table.x.shape[1],
            "outputs": data.splits.n_outputs,
            "task": data.splits.task,
            "dtype": str(table.x.dtype),
        }
        for context, table in parts.items()
        if table is not None
    ]


def same(one: Data, other: Data) -> bool:
    """Whether two runs have the same arrays in memory; a seed that draws no data leaves them so."""
    if one.train.mapping is not None:
        return False
    parts = ((one.train, other.train), (one.validation, other.validation), (one.test, other.test))
    return all(
        (a is None and b is None)
        or (a is not None and b is not None and np.array_equal(a.x, b.x) and np.array_equal(a.y, b.y))
        for a, b in parts
    )
