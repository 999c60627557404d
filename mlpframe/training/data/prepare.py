"""Turn a loaded data set into the arrays of a run: hold out, impute, scale, convert to the dtype."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...api import Array, DataContext, Dataset, FrameFile, Preparation, Splits, Table, UsageError
from ..rng import Streams
from . import encoded
from .holdout import fold, hold_out
from .missing import column_means, without_gaps
from .table import Encoder, Summary, Target, center_and_spread, summarize

VARIABLE = "MLPFRAME_DATA"
EXAMPLE_ROWS = 5
EXAMPLE_VALUES = 10_000
"""``Data.example`` has at most this many values, and no row if a single row has more values."""


@dataclass(frozen=True)
class Data:
    """The arrays of a run.

    ``splits`` describes the data. ``train`` is the part to train on; ``validation`` and ``test`` may be
    ``None``. ``encoder`` made the inputs and targets from the loaded rows. ``summary`` tells users how
    mlpframe reads their own data; ``summary`` is ``None`` for other data. ``example`` holds the inputs of a
    few training rows as they were loaded: a data frame or an array.
    """

    name: str
    splits: Splits
    train: Table
    validation: Table | None
    test: Table | None
    encoder: Encoder
    summary: Summary | None = None
    example: Any = None


def data_folder(configured: str | None) -> Path:
    """The folder of data files: as configured, else ``MLPFRAME_DATA``, else the user's cache folder."""
    folder = configured or os.environ.get(VARIABLE)
    if folder:
        return Path(folder).expanduser().resolve()
    from platformdirs import user_cache_path

    return user_cache_path("mlpframe")


def load_data(
    dataset: Dataset,
    folder: Path,
    dtype: str,
    streams: Streams,
    *,
    final: bool,
    scale_target: bool = False,
    scratch: Path | None = None,
    weighted_encoder: bool = False,
    encoder: Encoder | None = None,
) -> Data:
    """Load a data set and prepare it as its options say.

    Args:
        dataset: the data set, with its ``Preparation`` in ``shared``.
        folder: the folder of data files.
        dtype: the type of the inputs, and of targets that are not class numbers.
        streams: the stream ``dataset`` draws data, and ``split`` draws the rows to hold out.
        final: train on training and validation data together, and test on the test part.
        scale_target: whether the target of a regression is scaled if the data set's option ``scale_target``
            is not set.
        scratch: a folder for files of encoded inputs that do not fit into memory; ``None``: such inputs are
            refused.
        weighted_encoder: whether a row of weight 2 counts like two rows in scaling and imputing, as
            scikit-learn expects; else the weights affect the loss only.
        encoder: the encoder of earlier training rows, which is used as it is; ``None``: fit a new encoder to
            the training rows.
    """
    rules = dataset.shared
    splits = _load(dataset, folder, streams)
    train, validation, test, held = _parts(splits, rules, streams["split"], dataset.name, final=final)
    if encoder is None:
        weighted = train if weighted_encoder else replace(train, weights=None)
        encoder = _fit_encoder(splits, weighted, rules, dataset.name, scale_target=scale_target)
    summary = None
    if dataset.own:
        parts = {"for training": train, "for validation": validation, "for the test": test}
        rows = sum(len(part) for part in (splits.train, splits.validation, splits.test) if part is not None)
        rest = rows - held - sum(len(part) for part in parts.values() if part is not None)
        unused = {"held out for the test (final=true)": held, "not used in this fold": rest}
        summary = summarize(dataset.name, splits, parts, unused, encoder, rules.missing)
    few = slice(min(EXAMPLE_ROWS, EXAMPLE_VALUES // train.x.shape[1]))
    example = encoded.sample(train.part(few)).x

    def prepared(table: Table, part: str) -> Table:
        with np.errstate(over="ignore", invalid="ignore"):
            y = encoder.target.scaled(table.y)
            y = np.ascontiguousarray(y, np.intp if y.ndim == 1 else dtype)
        _refuse_overflow(y, f"dataset={dataset.name}: the targets", dtype)
        weights = table.weights
        if weights is not None:
            weights = np.ascontiguousarray(weights / weights.mean(), dtype)
        if encoded.in_file(table.x) and (splits.columns or rules.scaling != "none" or table.x.dtype != dtype):
            if scratch is None:
                raise UsageError(
                    f"dataset={dataset.name} does not fit into memory; train with python -m mlpframe, "
                    "which encodes the rows into a file"
                )
            return encoded.encode(Table(table.x, y, weights), encoder, scratch / f"{part}.npy", dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            x = np.ascontiguousarray(encoder.inputs(table.x), dtype)
        if x is not table.x:
            _refuse_overflow(x, f"dataset={dataset.name}: the inputs", dtype)
        return Table(x, y, weights)

    train = prepared(train, "train")
    description = replace(
        splits,
        train=train,
        validation=None,
        test=None,
        feature_names=encoder.feature_names,
        categorical=encoder.categorical if splits.columns else splits.categorical,
        code_names=encoder.code_names if splits.columns else splits.code_names,
    )
    return Data(
        dataset.name,
        description,
        train,
        None if validation is None else prepared(validation, "validation"),
        None if test is None else prepared(test, "test"),
        encoder,
        summary,
        example,
    )


def load_held_out(
    dataset: Dataset, folder: Path, streams: Streams, *, final: bool
) -> tuple[Splits, Table | None, Table | None]:
    """Load a data set again; returns its description and the rows that a run held out, as they were read.

    Args:
        dataset: the data set, with its ``Preparation`` in ``shared``.
        folder: the folder of data files.
        streams: the streams of the run's seed: the same rows are held out as for the run.
        final: whether the run was trained on training and validation data together.

    Returns:
        The description, the validation part, and the test part; ``None``: the run has no such part.
    """
    splits, rules = _load(dataset, folder, streams), dataset.shared
    has_test = splits.test is not None or bool(rules.test)
    rng = streams["split"]
    state = rng.bit_generator.state
    validation = None if final else _parts(splits, rules, rng, dataset.name, final=False)[1]
    rng.bit_generator.state = state
    test = _parts(splits, rules, rng, dataset.name, final=True)[2] if has_test else None
    return splits, validation, test


def _load(dataset: Dataset, folder: Path, streams: Streams) -> Splits:
    """The data set as it is read, without the rows that its options leave out."""
    try:
        splits = dataset.load(DataContext(folder, streams["dataset"]))
    except (ValueError, OverflowError, MemoryError) as error:  # more rows than fit into memory, for instance
        raise UsageError(f"dataset={dataset.name} cannot be loaded with these options: {error}") from error
    _check(splits, dataset.name)
    return without_gaps(splits, dataset.shared.missing, dataset.name)


def _parts(
    splits: Splits, rules: Preparation, rng: np.random.Generator, name: str, *, final: bool
) -> tuple[Table, Table | None, Table | None, int]:
    """Divide a data set into the training, validation and test part of a run.

    Without ``final``, a run has no test part. With ``final``, a run trains on the training and validation
    rows together and has no validation part. The last value that is returned is the number of test rows that
    the run does not use.
    """
    train, validation, test = splits.train, splits.validation, splits.test

    def rows(amount: float) -> int:
        return max(1, round(amount * len(splits.train))) if amount < 1 else int(amount)

    if test is None and rules.test:
        train, test = hold_out(train, rows(rules.test), rules.split, rng, "test")
    if final:
        if validation is not None:
            train = _joined(train, validation)
        if test is None:
            raise UsageError(
                f"final=true needs a test part, and dataset={name} has none: "
                "set dataset.test to a number or fraction of rows"
            )
        return train, None, test, 0
    held = 0 if test is None else len(test)
    if rules.folds:
        if validation is not None:
            raise UsageError(f"dataset.folds={rules.folds}: dataset={name} has a validation part already")
        return *fold(train, rules, rng), None, held
    if validation is None and rules.validation:
        train, validation = hold_out(train, rows(rules.validation), rules.split, rng, "validation")
    return train, validation, None, held


def _fit_encoder(
    splits: Splits, train: Table, rules: Preparation, name: str, *, scale_target: bool
) -> Encoder:
    """Fit the encoder of a run to the training rows. Each row counts with its weight in ``train``."""
    shift = scale = None
    wanted = scale_target if rules.scale_target is None else rules.scale_target
    if wanted and splits.task == "regression":
        shift, scale = center_and_spread(train.y, train.weights)
    target = Target(splits.target_names, splits.class_names, splits.integer_classes, shift, scale)
    impute = rules.missing in ("impute", "indicate")
    indicate = rules.missing == "indicate"
    if splits.columns is not None:
        rows = encoded.sample(train)
        frame: Any = rows.x
        return Encoder.fit_frame(
            frame,
            splits.columns,
            scaling=rules.scaling,
            indicate=indicate,
            target=target,
            weights=rows.weights,
        )
    rows = train if rules.scaling == "none" else encoded.sample(train)
    return Encoder.fit_array(
        rows.x,
        names=splits.feature_names,
        fixed=splits.categorical,
        scaling=rules.scaling,
        fill=column_means(train.x, splits.feature_names, name, train.weights) if impute else None,
        indicate=indicate,
        target=target,
        weights=rows.weights,
    )


def _refuse_overflow(values: Array, what: str, dtype: str) -> None:
    """Refuse numbers that are no longer finite when they are scaled and of the run's type."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()):  # one quick pass
            return
    if not np.isfinite(values).all():
        raise UsageError(f"{what} have numbers that are too large for {dtype}")


def _check(splits: Splits, name: str) -> None:
    """Refuse shapes and class numbers with which a loss would broadcast, or index beyond an array."""
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
        if not len(part.x) or not part.x.shape[1]:
            raise UsageError(
                f"dataset={name}: x has shape {part.x.shape}; expected at least one row and feature"
            )
        weights = part.weights
        if weights is not None and not (
            weights.shape == (len(part.x),)
            and weights.dtype.kind in "biuf"
            and np.isfinite(weights).all()
            and weights.min() >= 0 < weights.sum()
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


def _joined(first: Table, second: Table) -> Table:
    weights = keys = None
    if first.weights is not None and second.weights is not None:
        weights = np.concatenate([first.weights, second.weights])
    if first.keys is not None and second.keys is not None:
        keys = np.concatenate([first.keys, second.keys])
    return Table(_stacked(first.x, second.x), np.concatenate([first.y, second.y]), weights, keys)


def _stacked(first: Any, second: Any) -> Any:
    if isinstance(first, FrameFile):
        raise UsageError(
            "final=true joins the data set's training and validation rows, so these rows must be in memory"
        )
    if not hasattr(first, "columns"):
        return np.concatenate([first, second])
    import pandas as pd

    return pd.concat([first, second], ignore_index=True)


def same(first: Data, second: Data) -> bool:
    """Whether the data of two runs are equal arrays in memory; ``False`` for a mapped file.

    The data are equal if neither the rows nor the choice of held-out rows depends on the run's seed.
    """
    if first.train.mapping is not None:
        return False
    parts = ((first.train, second.train), (first.validation, second.validation), (first.test, second.test))
    return all(
        (a is None and b is None)
        or (a is not None and b is not None and np.array_equal(a.x, b.x) and np.array_equal(a.y, b.y))
        for a, b in parts
    )
