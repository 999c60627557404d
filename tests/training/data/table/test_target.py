"""A prediction in the user's words."""

from __future__ import annotations

import numpy as np

from mlpframe.training.data.table import Target, Words

PROBABILITIES = np.array([[0.2, 0.8], [0.7, 0.3]])


def test_a_classification_is_a_column_of_labels_and_a_column_of_probabilities_for_each_class() -> None:
    columns = Words(Target(("bought",), ("no", "yes")), "classification", 2).table(PROBABILITIES)
    assert list(columns) == ["bought", "p(no)", "p(yes)"]
    assert columns["bought"].tolist() == ["yes", "no"]
    assert columns["p(no)"].tolist() == [0.2, 0.7]
    assert columns["p(yes)"].tolist() == [0.8, 0.3]


def test_labels_that_are_whole_numbers_stay_numbers() -> None:
    columns = Words(Target(("stars",), ("3", "10"), integer=True), "classification", 2).table(PROBABILITIES)
    assert list(columns) == ["stars", "p(3)", "p(10)"]
    assert columns["stars"].tolist() == [10, 3]


def test_multilabel_is_a_column_of_0_and_1_and_a_column_of_probabilities_for_each_class() -> None:
    columns = Words(Target(("rain", "wind"), ("rain", "wind")), "multilabel", 2).table(
        np.array([[0.2, 0.1], [0.7, 0.6]])
    )
    assert list(columns) == ["rain", "wind", "p(rain)", "p(wind)"]
    assert columns["rain"].tolist() == columns["wind"].tolist() == [0, 1]
    assert columns["p(wind)"].tolist() == [0.1, 0.6]


def test_a_regression_is_a_column_of_values_for_each_target() -> None:
    values = np.array([[1.5, 20.0], [2.5, 30.0]])
    columns = Words(Target(("price", "days")), "regression", 2).table(values)
    assert {name: column.tolist() for name, column in columns.items()} == {
        "price": [1.5, 2.5],
        "days": [20.0, 30.0],
    }


def test_a_target_without_a_name_is_called_prediction() -> None:
    assert Words(Target(), "regression", 2).columns == ["prediction 1", "prediction 2"]
    assert Words(Target(), "regression", 1).columns == ["prediction"]
    assert Words(Target(class_names=("a", "b")), "classification", 2).columns == [
        "prediction",
        "p(a)",
        "p(b)",
    ]
