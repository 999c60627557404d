"""Hold out rows for validation or test."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...api import Array, Preparation, Table, UsageError

IN_ORDER = ("last", "time")
"""The splits that hold out the last rows: by their position, or by their time."""


def hold_out(
    table: Table, amount: float, how: str, rng: np.random.Generator, part: str
) -> tuple[Table, Table]:
    """Divide a table into the rows that remain and the rows that are held out.

    Args:
        table: the rows to divide.
        amount: the number of rows to hold out, at least 1.
        how: the value of the option ``split`` of ``Preparation``.
        rng: draws the rows.
        part: the name of the part that is held out, for messages.

    Raises:
        UsageError: no row would be held out, or none would remain.
    """
    n, held = len(table), int(amount)
    if not 0 < held < n:
        raise UsageError(f"dataset.{part} would hold out {held} of {n} rows; expected 1 to {n - 1}")
    if how == "last":
        return table.part(slice(None, -held)), table.part(slice(-held, None))
    if table.mapping is not None:
        raise UsageError(f"dataset.split={how} would copy a mapped file into memory; use dataset.split=last")
    mask = np.zeros(n, bool)
    mask[_held_rows(table, held, how, rng, part)] = True
    return table.part(~mask), table.part(mask)


def _held_rows(
    table: Table, held: int, how: str, rng: np.random.Generator, part: str
) -> NDArray[np.intp] | NDArray[np.bool_]:
    if how == "stratified" and table.y.ndim == 1:  # class numbers
        return _stratified(table.y, held, rng)
    if how == "time":
        return np.argsort(_keys(table, how), kind="stable")[-held:]
    if how == "group":
        groups, sizes = np.unique(_keys(table, how), return_counts=True)
        order = rng.permutation(len(groups))
        enough = int(np.searchsorted(np.cumsum(sizes[order]), held)) + 1
        if enough >= len(groups):
            raise UsageError(f"dataset.{part}: {len(groups)} groups are too few to hold out {held} rows")
        return np.isin(_keys(table, how), groups[order[:enough]])
    return rng.permutation(len(table))[:held]


def fold(table: Table, rules: Preparation, rng: np.random.Generator) -> tuple[Table, Table]:
    """The training and the validation part of one fold of a cross-validation.

    The random numbers are the same for every fold, so the validation parts of all folds together are the
    whole table. With split=last or split=time, the rows are put in order and divided into ``folds + 1``
    blocks: fold k, from 0, trains on the blocks 0 to k and is validated on block k + 1.
    """
    folds, how, n = rules.folds, rules.split, len(table)
    if how in IN_ORDER:
        order = np.arange(n) if how == "last" else np.argsort(_keys(table, how), kind="stable")
        blocks = np.array_split(order, folds + 1)
        before, held = np.concatenate(blocks[: rules.fold + 1]), blocks[rules.fold + 1]
        _check_fold(len(before) and len(held), n, folds)
        return table.part(np.sort(before)), table.part(np.sort(held))
    shuffled = rng.permutation(n)
    if how == "group":
        groups = np.unique(_keys(table, how), return_inverse=True)[1]
        numbers = (rng.permutation(groups.max() + 1) % folds)[groups]
    else:
        if how == "stratified" and table.y.ndim == 1:
            shuffled = shuffled[np.argsort(table.y[shuffled], kind="stable")]
        numbers = np.empty(n, np.intp)
        numbers[shuffled] = np.arange(n) % folds
    held_mask = numbers == rules.fold
    _check_fold(0 < held_mask.sum() < n, n, folds)
    return table.part(~held_mask), table.part(held_mask)


def _check_fold(usable: object, n: int, folds: int) -> None:
    if not usable:
        raise UsageError(f"dataset.folds={folds}: {n} rows are too few for a fold with rows in both parts")


def _keys(table: Table, how: str) -> Array:
    if table.keys is None:
        raise UsageError(f"dataset.split={how} is for tables (csv, parquet) with dataset.split_by=<column>")
    return table.keys


def _stratified(y: Array, held: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """``held`` random row numbers, with every class in proportion; the largest remainders are rounded up."""
    classes, counts = np.unique(y, return_counts=True)
    share = counts * held / len(y)
    take = np.floor(share).astype(int)
    for i in np.argsort(take - share, kind="stable")[: held - take.sum()]:
        take[i] += 1
    rows = [rng.permutation(np.flatnonzero(y == c))[:k] for c, k in zip(classes, take, strict=True)]
    return np.concatenate(rows)
