"""The training rows decide what a column holds, and every later table is read in the same way."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlpframe.api import ColumnRules, UsageError
from mlpframe.training.data.table.columns import (
    Category,
    Column,
    Date,
    LeftOut,
    Number,
    from_about,
    understand,
)


def column(values: Any, name: str = "x", **rules: Any) -> Column:
    return understand(pd.Series(values, name=name), name, ColumnRules(**rules))


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        [0.5, None, 2.5],
        [True, False, True],
        pd.array([True, None, False], dtype="boolean"),
        pd.array([1, None, 3], dtype="Int64"),
        [Decimal("1.5"), Decimal("2.5"), None],
        np.array([1, 2, 3], np.uint8),
    ],
    ids=str,
)
def test_numbers_and_truth_values_are_numbers(values: Any) -> None:
    known = column(values)
    assert known == Number("x")
    expected = [np.nan if value is None or value is pd.NA else float(value) for value in values]
    np.testing.assert_array_equal(known.read(pd.Series(values))[:, 0], expected)


def test_truth_values_with_gaps_are_numbers_as_a_csv_file_gives_them() -> None:
    known = column([True, None, False, True])
    np.testing.assert_array_equal(known.read(pd.Series([None, True, False]))[:, 0], [np.nan, 1, 0])


def test_text_is_categories_sorted_by_name() -> None:
    known = column(["b", "a", "b"])
    assert known == Category("x", ("a", "b"), other=False)
    np.testing.assert_array_equal(known.read(pd.Series(["a", "new", "b", None]))[:, 0], [0, 2, 1, 2])


def test_missing_text_is_a_category_only_if_the_training_rows_miss_some() -> None:
    known = column(["b", None, "b", "a"])
    assert known == Category("x", ("a", "b", "missing"), other=False)
    np.testing.assert_array_equal(known.read(pd.Series([None, "a"]))[:, 0], [2, 0])


def test_rare_categories_become_one_category() -> None:
    known = column(list("aaabbbccd"), max_categories=2)
    assert known == Category("x", ("a", "b"), other=True)
    np.testing.assert_array_equal(known.read(pd.Series(list("dab")))[:, 0], [2, 0, 1])


def test_whole_numbers_are_the_same_category_in_every_type() -> None:
    known = column([1, 2, 2], categorical=("x",))
    for values in ([2, 1], [2.0, 1.0], ["2", "1"], pd.array([2, 1], dtype="Int64")):
        np.testing.assert_array_equal(known.read(pd.Series(values))[:, 0], [1, 0])


def test_a_category_type_of_numbers_is_categories() -> None:
    assert column(pd.Categorical([3, 1, 3])) == Category("x", ("1", "3"), other=False)


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["2024-03-01", "2024-02-28"], "ISO8601"),
        (["2024-03-01T12:30:00", "2024-02-28T00:00:00"], "ISO8601"),
        (["2024-03-01 12:30:00+02:00", "2024-02-28 00:00:00Z"], "ISO8601"),
        (["01.03.2024", "28.02.2024"], "%d.%m.%Y"),
        (["03/01/2024", "02/28/2024"], "%m/%d/%Y"),
        (["01/03/2024", "28/02/2024"], "%d/%m/%Y"),
        (["2024/03/01", "2024/02/28"], "ISO8601"),
    ],
    ids=str,
)
def test_dates_in_text_are_recognized_by_a_format_that_fits_all_of_them(texts: list[str], form: str) -> None:
    known = column(texts)
    assert isinstance(known, Date)
    assert known.format == form
    assert known.first == datetime(2024, 2, 28, tzinfo=UTC).timestamp()


def test_a_dates_parts_are_those_of_the_calendar() -> None:
    moments = pd.date_range("2019-12-25", periods=1000, freq="37h")
    known = column(moments)
    assert isinstance(known, Date)
    assert known.parts == ("year", "month", "weekday", "hour", "days")
    days = (moments - moments[0]) / pd.Timedelta(days=1)
    parts = (moments.year, moments.month - 1, moments.day_of_week, moments.hour, days)
    np.testing.assert_allclose(known.read(pd.Series(moments)), np.column_stack(parts), rtol=1e-12)


def test_dates_before_1970_have_their_parts_too() -> None:
    known = column([date(1969, 12, 31), date(1900, 1, 1)])
    assert isinstance(known, Date)
    np.testing.assert_array_equal(known.read(pd.Series([date(1969, 12, 31)]))[0, :3], [1969, 11, 2])


def test_a_missing_date_has_missing_numbers_and_no_month() -> None:
    known = column(["2024-01-01", None, "2025-02-03"])
    assert isinstance(known, Date)
    assert known.parts == ("year", "month", "weekday", "days")
    np.testing.assert_array_equal(known.read(pd.Series([None, "2024-01-02"]))[0], [np.nan, 12, 7, np.nan])


def test_the_parts_that_do_not_differ_are_left_out() -> None:
    known = column(["2024-01-01", "2024-01-08", "2024-01-15"])
    assert isinstance(known, Date)
    assert known.parts == ("days",)


def test_a_date_in_another_format_than_in_training_is_refused_with_the_column() -> None:
    known = column(["2024-01-01", "2024-02-01"], "when")
    with pytest.raises(UsageError, match="column when must be dates"):
        known.read(pd.Series(["1st of May"]))


@pytest.mark.parametrize("name", ["id", "ID", "user_id", "userId", "user-id", "Unnamed: 0", "index"])
def test_distinct_whole_numbers_named_like_an_identifier_are_left_out(name: str) -> None:
    numbers = np.random.default_rng(0).permutation(1000)[:50] + 7_000
    assert isinstance(column(numbers, name), LeftOut)
    assert column(numbers, name, keep=(name,)) == Number(name)


@pytest.mark.parametrize("name", ["paid", "grid", "width", "humid", "price"])
def test_names_that_only_end_like_an_identifier_are_kept(name: str) -> None:
    assert column(np.random.default_rng(0).permutation(1000)[:50] + 7_000, name) == Number(name)


def test_a_count_of_the_rows_is_left_out_whatever_its_name() -> None:
    rows = np.flatnonzero(np.random.default_rng(0).random(100) < 0.6)  # about 60 of 100 rows
    assert isinstance(column(rows + 1, "n"), LeftOut)
    assert column(rows + 1900, "year") == Number("year")
    assert column([1, 2, 3], "n") == Number("n")  # too few rows to recognize a count of rows


def test_text_that_differs_in_most_rows_is_left_out_unless_it_is_asked_for() -> None:
    names = [f"person {i}" for i in range(50)]
    left_out = column(names)
    assert isinstance(left_out, LeftOut)
    assert left_out.reason == "looks like an identifier: 50 texts in 50 rows"
    assert isinstance(column(names, keep=("x",)), Category)
    assert isinstance(column(names, categorical=("x",)), Category)
    assert isinstance(column(names[:20]), Category)  # up to 20 texts are always categories


@pytest.mark.parametrize("values", [[3, 3, 3], ["a", "a", None], [None, None], ["2024-01-01"] * 3], ids=str)
def test_a_column_without_two_values_is_left_out(values: Any) -> None:
    assert isinstance(column(values), LeftOut)


@pytest.mark.parametrize("values", [[[1], [2]], [{}, {"a": 1}], [b"x", b"y"], [1 + 2j, 3j]], ids=str)
def test_a_column_of_other_objects_is_refused_with_its_name(values: Any) -> None:
    with pytest.raises(
        UsageError, match=r"the column x is of the type .*\nName the column in dataset.ignore"
    ):
        column(values)


def test_infinite_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="column x has infinite values"):
        column([1.0, np.inf, 2.0])


def test_text_where_numbers_were_is_refused_with_the_text_and_numbers_in_text_are_read() -> None:
    known = column([1.0, 2.0])
    np.testing.assert_array_equal(known.read(pd.Series(["3", "4.5"]))[:, 0], [3, 4.5])
    with pytest.raises(UsageError, match="column x must be numbers, and has '3,5'"):
        known.read(pd.Series(["3", "3,5"]))


@pytest.mark.parametrize(
    "known",
    [
        Number("x"),
        Category("x", ("a", "b"), other=True),
        Date("x", "ISO8601", 0.0, ("year", "days")),
        LeftOut("x", "has one value only"),
    ],
    ids=str,
)
def test_a_column_is_read_back_from_what_describes_it(known: Column) -> None:
    from dataclasses import asdict

    about = {
        "kind": known.kind,
        **{key: list(v) if isinstance(v, tuple) else v for key, v in asdict(known).items()},
    }
    assert from_about(about) == known
