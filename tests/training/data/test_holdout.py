"""Which rows are held out, and that no row is in two parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlpframe.api import Preparation, Table, UsageError
from mlpframe.training.data.holdout import fold, hold_out

N = 103


def table(n: int = N) -> Table:
    """Rows whose first feature is their number; classes of 70, 25 and 5 %; groups of different sizes."""
    rng = np.random.default_rng(1)
    y = rng.choice(3, n, p=[0.7, 0.25, 0.05])
    return Table(np.arange(n, dtype=float)[:, None], y, None, rng.integers(0, 12, n))


def numbers(part: Table) -> list[int]:
    return part.x[:, 0].astype(int).tolist()


@pytest.mark.parametrize("how", ["random", "stratified", "last", "group", "time"])
def test_every_row_is_in_exactly_one_part(how: str) -> None:
    left, held = hold_out(table(), 30, how, np.random.default_rng(0), "test")
    assert sorted(numbers(left) + numbers(held)) == list(range(N))
    assert len(held) == 30 or how == "group"


def test_stratified_keeps_the_shares_of_the_classes() -> None:
    whole = table()
    _, held = hold_out(whole, 30, "stratified", np.random.default_rng(0), "test")
    np.testing.assert_allclose(np.bincount(held.y) / 30, np.bincount(whole.y) / N, atol=1 / 30)


def test_a_group_is_in_one_part_and_enough_rows_are_held_out() -> None:
    left, held = hold_out(table(), 30, "group", np.random.default_rng(0), "test")
    assert left.keys is not None
    assert held.keys is not None
    assert not set(left.keys) & set(held.keys)
    largest = np.bincount(table().keys).max()
    assert 30 <= len(held) < 30 + largest


def test_time_holds_out_the_latest_rows() -> None:
    left, held = hold_out(table(), 30, "time", np.random.default_rng(0), "test")
    assert left.keys is not None
    assert held.keys is not None
    assert left.keys.max() <= held.keys.min()


@pytest.mark.parametrize("amount", [0, N, N + 1])
def test_an_empty_part_is_refused(amount: int) -> None:
    with pytest.raises(UsageError, match=f"would hold out {amount} of {N} rows; expected 1 to {N - 1}"):
        hold_out(table(), amount, "random", np.random.default_rng(0), "test")


def test_groups_and_times_need_their_column() -> None:
    bare = Table(table().x, table().y)
    for how in ("group", "time"):
        with pytest.raises(
            UsageError, match=f"dataset.split={how} is for tables .* dataset.split_by=<column>"
        ):
            hold_out(bare, 30, how, np.random.default_rng(0), "test")


def folds(how: str, number: int, **options: Any) -> list[tuple[Table, Table]]:
    rules = [Preparation(split=how, folds=number, fold=k, **options) for k in range(number)]
    return [fold(table(), rule, np.random.default_rng(5)) for rule in rules]


@pytest.mark.parametrize("how", ["random", "stratified", "group"])
@pytest.mark.parametrize("number", [2, 5])
def test_the_validation_parts_of_all_folds_are_the_whole_table(how: str, number: int) -> None:
    parts = folds(how, number)
    for train, held in parts:
        assert sorted(numbers(train) + numbers(held)) == list(range(N))
    assert sorted(row for _, held in parts for row in numbers(held)) == list(range(N))


def test_folds_have_equal_sizes_and_stratified_folds_have_equal_shares_of_the_classes() -> None:
    sizes = [len(held) for _, held in folds("random", 5)]
    assert max(sizes) - min(sizes) <= 1
    counts = np.array([np.bincount(held.y, minlength=3) for _, held in folds("stratified", 5)])
    assert (counts.max(0) - counts.min(0) <= 1).all()


def test_no_group_is_in_both_parts_of_a_fold() -> None:
    for train, held in folds("group", 4):
        assert not set(np.asarray(train.keys)) & set(np.asarray(held.keys))


@pytest.mark.parametrize("how", ["time", "last"])
def test_a_fold_in_order_trains_on_the_rows_before_its_validation_rows(how: str) -> None:
    order = {"time": lambda part: np.asarray(part.keys), "last": lambda part: part.x[:, 0]}[how]
    parts = folds(how, 4)
    for train, held in parts:
        assert order(train).max() <= order(held).min()
    assert [len(train) for train, _ in parts] == sorted(len(train) for train, _ in parts)


def test_too_many_folds_are_refused() -> None:
    rules = Preparation(split="random", folds=200, fold=150)
    with pytest.raises(UsageError, match=f"{N} rows are too few"):
        fold(table(), rules, np.random.default_rng(0))
