"""Find missing values, and refuse them, leave out their rows or fill them in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...api import Array, Splits, Table, UsageError

MOST_NAMED = 10
"""The largest number of columns that an error message names."""


def filled(x: Array, fill: Array | None) -> Array:
    """Replace each missing input by its column's value in ``fill``; ``None`` leaves the inputs unchanged."""
    return x if fill is None else np.where(np.isnan(x), fill, x)


def without_gaps(splits: Splits, how: str, name: str) -> Splits:
    """The parts without missing values. Missing inputs that are to be imputed remain."""
    tables = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    gaps = {}
    for part, table in tables.items():
        if table is not None and table.mapping is not None and how != "error":
            raise UsageError(
                f"dataset={name} is mapped from a file and is not searched for missing values: "
                f"dataset.missing must be error, not {how}"
            )
        masks = None if table is None else _gaps(table, name)
        if masks is not None:
            gaps[part] = masks
    if how == "drop":
        complete = {part: getattr(splits, part).part(~(x.any(1) | y)) for part, (x, y) in gaps.items()}
        for part, table in complete.items():
            if not len(table):
                raise UsageError(
                    f"dataset={name}: every row of the {part} part has missing values, "
                    "so dataset.missing=drop would leave no row"
                )
        return replace(splits, **complete)
    targets = sum(int(y.sum()) for _, y in gaps.values())
    if targets:
        raise UsageError(
            f"dataset={name}: {targets} rows have no target; dataset.missing=drop leaves out these rows"
        )
    inputs = sum((x.sum(0) for x, _ in gaps.values()), np.zeros(splits.train.x.shape[1], np.intp))
    if how == "error" and inputs.any():
        gap_counts = [f"{_feature(splits.feature_names, i)} ({inputs[i]})" for i in np.flatnonzero(inputs)]
        more = ", …" if len(gap_counts) > MOST_NAMED else ""
        raise UsageError(
            f"dataset={name}: missing values, counted by column: {', '.join(gap_counts[:MOST_NAMED])}{more}\n"
            "dataset.missing=drop leaves out these rows, dataset.missing=impute fills in the column's mean"
        )
    return splits


def _gaps(table: Table, name: str) -> tuple[Array, Array] | None:
    """Masks of missing inputs ``(n, features)`` and rows with missing targets ``(n,)``; ``None``: none.

    A mapped file is not searched, because a search would read the whole file.
    """
    if table.mapping is not None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(table.x.sum()) and np.isfinite(table.y.sum()):  # one quick pass
            return None
    if np.isinf(table.x).any() or np.isinf(table.y).any():
        raise UsageError(f"dataset={name} has infinite values; expected finite numbers")
    return np.isnan(table.x), np.any(np.isnan(table.y.reshape(len(table), -1)), axis=1)


def column_means(x: Array, feature_names: tuple[str, ...], name: str) -> Array:
    """The mean of every column's values that are not missing."""
    gaps = np.isnan(x)
    known = len(x) - gaps.sum(0)
    if not known.all():
        empty_column = _feature(feature_names, known.argmin())
        raise UsageError(
            f"dataset={name}: column {empty_column} has no value in the training part, "
            "so its mean cannot be imputed; leave out the column"
        )
    means: Array = np.where(gaps, 0, x).sum(0, np.float64) / known
    return means


def _feature(names: tuple[str, ...], number: int | np.intp) -> str:
    return names[number] if names else f"input {number}"
