"""What a run prints about how it reads the user's data, and the reasons that it gives for a divergence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlpframe import registries
from mlpframe.api import DataContext, UsageError
from mlpframe.training.data import missing
from mlpframe.training.data.prepare import Data, load_data
from mlpframe.training.data.table import Summary
from mlpframe.training.divergence import explain
from mlpframe.training.rng import Streams
from tests.running import mlpframe, the_run


def table(rows: int = 100) -> pd.DataFrame:
    """A table with a column that counts the rows, a column of a single value, numbers, texts and dates."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "row_id": np.arange(rows),
            "firm": "acme",
            "width": rng.standard_normal(rows),
            "color": np.array(["red", "green", "blue", "red"])[np.arange(rows) % 4],
            "sold": pd.date_range("2024-01-01", periods=rows).astype(str),
            "price": 2e5 + 1e4 * rng.standard_normal(rows),
        }
    )
    frame.loc[:4, "width"] = np.nan
    frame.loc[95:, "price"] = np.nan
    return frame


def prepared(frame: pd.DataFrame, target: Any, *, final: bool = False, **options: Any) -> Data:
    dataset = registries["dataset"].create("arrays", **options)
    dataset.hand_over(frame, target)
    return load_data(dataset, Path(), "float64", Streams(0), final=final, scale_target=True)


def summary(frame: pd.DataFrame, target: Any, *, final: bool = False, **options: Any) -> Summary:
    data = prepared(frame, target, final=final, **options)
    assert data.summary is not None
    return data.summary


def test_the_rows_of_every_part_and_the_unused_rows_are_counted() -> None:
    found = summary(table(), "price", test=0.2, validation=10)
    assert {part: rows for part, rows in found.parts.items() if rows} == {
        "for training": 66,
        "for validation": 10,
        "held out for the test (final=true)": 19,
    }
    assert found.lines()[0].startswith("rows      95: 66 for training, 10 for validation, 19 held out for")
    assert found.lines()[0].endswith("5 rows without price are left out")
    final = summary(table(), "price", test=0.2, validation=10, final=True)
    assert {part: rows for part, rows in final.parts.items() if rows} == {
        "for training": 76,
        "for the test": 19,
    }


def test_a_fold_in_time_leaves_later_rows_unused() -> None:
    found = summary(table().dropna(), "price", test=0, folds=4, fold=1, split="last")
    rows = len(table().dropna())
    assert rows == 90
    assert {part: n for part, n in found.parts.items() if n} == {
        "for training": 36,
        "for validation": 18,
        "not used in this fold": 36,
    }


def test_the_summary_of_a_regression_has_mean_deviation_and_range_of_the_training_targets() -> None:
    frame = table()
    found = summary(frame, "price", test=0, validation=19, split="last")
    train = frame.price[:76]
    assert found.task == "regression"
    values = found.values["price"]
    assert (values.mean, values.deviation) == pytest.approx((train.mean(), train.std(ddof=0)))
    assert (values.least, values.greatest) == (train.min(), train.max())
    assert found.scaled
    assert "scaled for training" in found.lines()[2]
    assert found.reason == "95 different numbers"


@pytest.mark.parametrize(
    ("target", "reason", "classes"),
    [
        (["a", "b", "c", "a"] * 25, "3 different texts", {"a": 50, "b": 25, "c": 25}),
        ([True, False] * 50, "true and false", {"False": 50, "True": 50}),
        (
            [1, 2, 5, 1] * 25,
            "3 different whole numbers, each at least twice on average",
            {"1": 50, "2": 25, "5": 25},
        ),
    ],
)
def test_the_summary_of_a_classification_has_the_reason_for_the_task_and_counts_the_classes(
    target: list[Any], reason: str, classes: dict[str, int]
) -> None:
    found = summary(table(), pd.Series(target, name="kind"), validation=0)
    assert found.lines()[1] == f"task      classification of kind: {reason}"
    assert dict(found.classes) == classes
    asked = summary(table(), pd.Series(target, name="kind"), validation=0, task="classification")
    assert asked.reason == "dataset.task=classification"


def test_the_summary_lists_columns_by_kind_columns_left_out_and_missing_values() -> None:
    found = summary(table(), "price", ignore=["width"], missing="impute")
    assert found.left_out == {
        "row_id": "looks like an identifier: a different whole number in every row",
        "firm": "has one value only",
        "width": "dataset.ignore",
    }
    found = summary(table(), "price")
    assert found.missing == {"width": 5}
    assert found.lines()[3].startswith("columns   1 number (width), 1 category (color 3), 1 date (sold); ")
    assert found.inputs == prepared(table(), "price").train.x.shape[1]
    page = found.page()
    for name in table().columns[:-1]:
        assert f"\n| {name} | " in page


def test_the_summary_of_a_wide_table_has_at_most_six_short_lines() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((60, 2000)), columns=[f"column {i}" for i in range(2000)])
    frame.iloc[::7] = np.nan
    frame["kind"] = [f"class {i % 30}" for i in range(60)]
    found = summary(frame, "kind")
    lines = found.lines()
    assert len(lines) <= 6
    assert max(map(len, lines)) <= 200
    assert "2,000 numbers" in lines[3]
    assert "and 1,9" in lines[3]
    assert found.page().count("\n| column ") == 2001  # one for every column, and one for the heading


def test_arrays_have_a_summary_too() -> None:
    dataset = registries["dataset"].create("arrays", validation=0)
    dataset.hand_over(np.array([[1.0, 2], [np.nan, 3], [5, 6], [7, 8]]), np.array([3, 3, 4, 4]))
    found = load_data(dataset, Path(), "float64", Streams(0), final=False).summary
    assert found is not None
    assert dict(found.classes) == {"3": 2, "4": 2}
    assert found.missing == {"input 0": 1}
    assert found.reason == "2 different whole numbers"


def test_the_command_prints_and_saves_the_summary_but_not_for_a_built_in_data_set(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "table.csv", index=False)
    settings = ["dataset=csv", "dataset.file=table.csv", "epochs=1", "tracking=none", "optimizer=adam"]
    ended = mlpframe(tmp_path, *settings)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    labels = [line.partition("  ")[0] for line in lines[1:7]]
    assert labels == ["rows", "task", "target", "columns", "left out", "missing"]
    page = (the_run(tmp_path) / "data" / "understood.md").read_text("utf-8")
    assert all(line.partition("  ")[0] in page for line in lines[1:7])
    sweep = mlpframe(tmp_path, "-m", *settings, "seed=1,2")
    assert sweep.stdout.count("\ntask  ") == 1
    assert "task  " not in mlpframe(tmp_path, "dataset=iris", "epochs=1", "tracking=none").stdout


# --- why a run diverged --------------------------------------------------------------------------


MSE, POISSON = registries["loss"].create("mse"), registries["loss"].create("poisson")


def numbers(y: Any, x: Any = None, **options: Any) -> Data:
    inputs = np.random.default_rng(0).standard_normal((50, 2)) if x is None else x
    dataset = registries["dataset"].create("arrays", **options)
    dataset.hand_over(inputs, y)
    return load_data(dataset, Path(), "float32", Streams(0), final=False)


def test_a_divergence_names_the_target_the_inputs_and_the_rate_where_they_are_to_blame() -> None:
    small, large = np.linspace(-1, 1, 50), np.linspace(0, 1e6, 50)
    plain = explain(numbers(small), MSE, "sgd", 0.1, 0.1)
    assert plain == "a smaller lr may help, such as lr=0.01"
    assert "set dataset.scale_target=true" in explain(numbers(large), MSE, "sgd", 0.1, 0.1)
    assert "scale_target" not in explain(numbers(large, scale_target=True), MSE, "sgd", 0.1, 0.1)
    assert "scale_target" not in explain(numbers(large), POISSON, "sgd", 0.1, 0.1)  # its targets are counts
    fast = explain(numbers(small), MSE, "adam", 1.0, 0.001)
    assert fast == "the learning rate 1 is 1,000 times the default of adam; set lr=0.001"
    wide = np.random.default_rng(0).standard_normal((50, 2)) * [1, 1e5]
    text = explain(numbers(small, wide, scaling="none"), MSE, "sgd", 0.1, 0.1)
    assert "input 1 reaches" in text
    assert "set dataset.scaling=standard" in text
    outlier = np.ones((2_000_000, 1)) * 0.5
    outlier[::2], outlier[7] = -0.5, 1e7
    rare = explain(numbers(np.zeros(2_000_000), outlier), MSE, "sgd", 0.1, 0.1)
    assert "have outliers" in rare
    assert "set dataset.scaling=robust" in rare


def test_a_value_that_is_not_finite_in_a_mapped_file_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.zeros((70_000, 2), np.float32)
    x[69_000, 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.zeros(70_000))
    dataset = registries["dataset"].create(
        "npy", x=str(tmp_path / "x.npy"), y=str(tmp_path / "y.npy"), validation=0
    )
    assert dataset.load(DataContext(tmp_path, np.random.default_rng(0))).train.mapping is not None
    with pytest.raises(UsageError, match="missing or infinite values in row 69,001, input 1; expected"):
        load_data(dataset, tmp_path, "float32", Streams(0), final=False)
    monkeypatch.setattr(missing, "SEARCHED", 0)  # as for a file that is too large to be searched
    data = load_data(dataset, tmp_path, "float32", Streams(0), final=False)
    assert "input 1 has a value that is not finite" in explain(data, MSE, "sgd", 0.1, 0.1)


def test_a_message_has_at_most_three_lines() -> None:
    wide = np.random.default_rng(0).standard_normal((50, 2)) * 1e5
    text = explain(numbers(np.linspace(0, 1e6, 50), wide, scaling="none"), MSE, "sgd", 100.0, 0.1)
    assert len(text.splitlines()) == 2
