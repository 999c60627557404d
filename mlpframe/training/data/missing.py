"""Find missing values, and refuse them, leave out their rows or fill them in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...api import Array, FrameFile, Splits, Table, UsageError
from .table import known_means

SEARCHED = 1 << 30
"""Bytes of the largest mapped file that is searched for missing values: a second if it is not cached."""
SEARCHED_ROWS = 1 << 16
MOST_NAMED = 10
"""The largest number of columns that an error message names."""


def filled(x: Array, fill: Array | None) -> Array:
    """Replace each missing input by its column's value in ``fill``; ``None`` leaves the inputs unchanged."""
    return x if fill is None else np.where(np.isnan(x), fill, x)


def without_gaps(splits: Splits, how: str, name: str) -> Splits:
    """The parts without missing values, except for missing inputs that are to be imputed.

    Rows without a target are left out, and a note says how many.
    """
    tables = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    gaps = {}
    for part, table in tables.items():
        if table is not None and isinstance(table.x, FrameFile) and how in ("error", "drop"):
            raise UsageError(
                f"dataset={name} is not read into memory, so it is not searched for missing values: "
                f"dataset.missing must be impute or indicate, not {how}"
            )
        if table is not None and table.mapping is not None and how != "error":
            raise UsageError(
                f"dataset={name} is mapped from a file and is not searched for missing values: "
                f"dataset.missing must be error, not {how}"
            )
        masks = None if table is None else _gaps(table, name)
        if masks is not None:
            gaps[part] = masks
    columns = splits.feature_names if splits.columns is None else column_names(splits.train)
    inputs = sum((x.sum(0) for x, _ in gaps.values()), np.zeros(splits.train.x.shape[1], np.intp))
    if how == "error" and inputs.any():
        gap_counts = [f"{_feature(columns, i)} ({inputs[i]})" for i in np.flatnonzero(inputs)]
        more = ", …" if len(gap_counts) > MOST_NAMED else ""
        raise UsageError(
            f"dataset={name}: missing values, counted by column: {', '.join(gap_counts[:MOST_NAMED])}{more}\n"
            "dataset.missing=drop leaves out these rows, dataset.missing=impute fills in the column's mean"
        )
    drop = how == "drop"
    complete = {part: getattr(splits, part).part(~(x.any(1) & drop | y)) for part, (x, y) in gaps.items()}
    for part, table in complete.items():
        if not len(table):
            raise UsageError(
                f"dataset={name}: every row of the {part} part has missing values, so no row is left"
            )
    unlabeled = sum(int(y.sum()) for _, y in gaps.values())
    incomplete = sum(int((x.any(1) & ~y).sum()) for x, y in gaps.values()) if drop else 0
    notes = [f"{unlabeled:,} rows without a target are left out"] if unlabeled else []
    notes += [f"{incomplete:,} rows with missing inputs are left out"] if incomplete else []
    return replace(splits, **complete, notes=(*splits.notes, *notes))


def _gaps(table: Table, name: str) -> tuple[Array, Array] | None:
    """Masks of missing inputs ``(n, features)`` and of rows without a target ``(n,)``; ``None``: no gaps.

    A file that stays on the disk is searched only if it is small, because a search reads the whole file.

    Raises:
        UsageError: a value is infinite, or a mapped file has missing values.
    """
    if table.mapping is not None:
        _refuse_mapped_gaps(table, name)
    if table.mapping is not None or isinstance(table.x, FrameFile):
        return None
    inputs: Array
    targets: Array = np.any(np.isnan(table.y.reshape(len(table), -1)), axis=1)
    if hasattr(table.x, "isna"):  # a data frame
        inputs = table.x.isna().to_numpy()
        return (inputs, targets) if inputs.any() or targets.any() else None
    with np.errstate(over="ignore", invalid="ignore"):
        # finite sums show quickly that no value is missing or infinite
        if np.isfinite(table.x.sum()) and np.isfinite(table.y.sum()):
            return None
    if np.isinf(table.x).any() or np.isinf(table.y).any():
        raise UsageError(f"dataset={name} has infinite values; expected finite numbers")
    return np.isnan(table.x), targets


def _refuse_mapped_gaps(table: Table, name: str) -> None:
    """Refuse missing and infinite targets of a mapped file, and inputs if the file is small."""
    bad = ~np.isfinite(table.y.reshape(len(table), -1)).all(1)
    if bad.any():
        where: str | None = f"the target of {bad.sum():,} rows, the first in row {bad.argmax() + 1:,}"
    else:
        where = _first_gap(table.x) if table.x.nbytes <= SEARCHED else None
    table.release()
    if where:
        raise UsageError(
            f"dataset={name}: missing or infinite values in {where}; expected finite numbers in a mapped file"
        )


def _first_gap(x: Array) -> str | None:
    """Where the first value of a mapped file is that is not finite; ``None``: all are finite."""
    for start in range(0, len(x), SEARCHED_ROWS):
        rows = x[start : start + SEARCHED_ROWS]
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(rows.sum()):  # one quick pass
                continue
        bad = np.argwhere(~np.isfinite(rows))
        if len(bad):
            return f"row {start + bad[0][0] + 1:,}, input {bad[0][1]}"
    return None


def column_means(x: Array, feature_names: tuple[str, ...], name: str, weights: Array | None = None) -> Array:
    """The mean of every column's values that are not missing; ``weights`` are the weights of the rows."""
    gaps = np.isnan(x)
    if gaps.all(0).any():
        empty_column = _feature(feature_names, gaps.all(0).argmax())
        raise UsageError(
            f"dataset={name}: column {empty_column} has no value in the training part, "
            "so its mean cannot be imputed; leave out the column"
        )
    return known_means(x, gaps, weights)


def column_names(table: Table) -> tuple[str, ...]:
    """The column names of a table whose inputs are a data frame."""
    columns: Any = table.x
    return tuple(map(str, columns.columns))


def _feature(names: tuple[str, ...], number: int | np.intp) -> str:
    return names[number] if names else f"input {number}"
