"""Metrics: against scikit-learn's, and by hand where it has no opinion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from mlpframe import registries
from mlpframe.api import Array, Metric

METRICS = registries["metric"].names()
SHAPES = [(1, 2), (2, 2), (50, 3), (300, 10), (7, 26)]


def create(name: str, **options: Any) -> Metric:
    made: Metric = registries["metric"].create(name, **options)
    return made


def classification(n: int, classes: int, dtype: Any = np.float32) -> tuple[Array, Array]:
    """Class probabilities that are right more often than not, and class numbers."""
    rng = np.random.default_rng([n, classes])
    target = rng.integers(0, classes, n)
    scores = rng.random((n, classes))
    scores[np.arange(n), target] += 0.3
    return (scores / scores.sum(1, keepdims=True)).astype(dtype), target


def regression(n: int, outputs: int) -> tuple[Array, Array]:
    rng = np.random.default_rng([n, outputs])
    target = rng.standard_normal((n, outputs)) * np.logspace(-3, 3, outputs) + 5
    return target + 0.5 * rng.standard_normal((n, outputs)), target


# --- classification ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_accuracy_and_error_rate(shape: tuple[int, int]) -> None:
    prediction, target = classification(*shape)
    accuracy = sk.accuracy_score(target, prediction.argmax(1))
    assert create("accuracy").compute(prediction, target) == pytest.approx(accuracy, rel=1e-15)
    error = sk.zero_one_loss(target, prediction.argmax(1))
    assert create("error_rate").compute(prediction, target) == pytest.approx(error, abs=1e-15)


def test_accuracy_of_all_and_none() -> None:
    prediction, target = np.eye(4, dtype=np.float32), np.arange(4)
    assert create("accuracy").compute(prediction, target) == 1
    assert create("error_rate").compute(prediction, target) == 0
    assert create("accuracy").compute(prediction, (target + 1) % 4) == 0
    assert create("error_rate").compute(prediction, (target + 1) % 4) == 1


def test_the_first_of_equal_classes_counts() -> None:
    prediction = np.full((4, 2), 0.5)
    target = np.array([0, 0, 0, 1])
    assert create("accuracy").compute(prediction, target) == 0.75
    assert create("error_rate").compute(prediction, target) == 0.25
    assert create("confusion_matrix").compute(prediction, target).tolist() == [[3, 0], [1, 0]]


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int32, np.int64])
@pytest.mark.parametrize("shape", SHAPES)
def test_confusion_matrix(shape: tuple[int, int], kind: Any) -> None:
    prediction, target = classification(*shape)
    matrix = create("confusion_matrix").compute(prediction, target.astype(kind))
    assert matrix.shape == (shape[1], shape[1])
    assert np.issubdtype(matrix.dtype, np.integer)
    expected = sk.confusion_matrix(target, prediction.argmax(1), labels=range(shape[1]))
    np.testing.assert_array_equal(matrix, expected)


def test_a_class_that_is_never_predicted_or_never_occurs_keeps_its_place() -> None:
    prediction, target = classification(200, 5)
    prediction[:, 4] = 0  # never predicted
    target[target == 2] = 3  # never occurs
    matrix = create("confusion_matrix").compute(prediction, target)
    expected = sk.confusion_matrix(target, prediction.argmax(1), labels=range(5))
    np.testing.assert_array_equal(matrix, expected)
    assert not matrix[:, 4].any()
    assert not matrix[2].any()
    accuracy = create("accuracy").compute(prediction, target)
    assert accuracy == sk.accuracy_score(target, prediction.argmax(1))
    assert np.trace(matrix) / matrix.sum() == pytest.approx(accuracy)


def test_rows_of_the_confusion_matrix_are_true_classes() -> None:
    prediction = np.array([[0.9, 0.1, 0], [0.9, 0.1, 0], [0.2, 0.1, 0.7]])
    matrix = create("confusion_matrix").compute(prediction, np.array([1, 1, 2]))
    assert matrix.tolist() == [[0, 0, 0], [2, 0, 0], [0, 0, 1]]


# --- regression --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 1), (10, 1), (100, 3), (1000, 7)])
def test_r2(shape: tuple[int, int]) -> None:
    prediction, target = regression(*shape)
    assert create("r2").compute(prediction, target) == pytest.approx(
        sk.r2_score(target, prediction), rel=1e-9
    )
    single = create("r2").compute(prediction.astype(np.float32), target.astype(np.float32))
    exact = sk.r2_score(target.astype(np.float32).astype(float), prediction.astype(np.float32).astype(float))
    assert single == pytest.approx(exact, rel=1e-9)  # sums of float32 values are taken in float64


def test_r2_marks() -> None:
    _, target = regression(100, 3)
    assert create("r2").compute(target, target) == 1
    mean = np.broadcast_to(target.mean(0), target.shape)
    assert create("r2").compute(mean, target) == pytest.approx(0, abs=1e-12)


def test_r2_of_constant_targets() -> None:
    prediction, target = regression(100, 4)
    target[:, 1] = 3.0  # predicted badly: 0
    target[:, 2] = prediction[:, 2] = 2.0  # predicted perfectly: 1
    r2 = create("r2").compute(prediction, target)
    assert r2 == pytest.approx(sk.r2_score(target, prediction), rel=1e-9)
    scores = sk.r2_score(target, prediction, multioutput="raw_values")
    assert scores[1:3].tolist() == [0, 1]


def test_r2_of_a_constant_whose_mean_is_not_exact() -> None:
    target = np.full((100, 1), 0.1)
    assert target.mean() != 0.1
    assert create("r2").compute(target, target) == 1
    assert create("r2").compute(target + 1e-3, target) == 0


def test_r2_of_one_row() -> None:
    assert create("r2").compute(np.ones((1, 2)), np.ones((1, 2))) == 1
    assert create("r2").compute(np.ones((1, 2)), np.array([[1.0, 2.0]])) == 0.5


# --- every metric ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METRICS)
def test_gives_a_plain_number_or_an_array_and_changes_nothing(name: str) -> None:
    metric = create(name)
    for task in metric.tasks:
        prediction, target = classification(60, 4) if task == "classification" else regression(60, 4)
        before = prediction.tobytes(), target.tobytes()
        value = metric.compute(prediction, target)
        assert (prediction.tobytes(), target.tobytes()) == before
        assert type(value) is float if metric.scalar else isinstance(value, np.ndarray)


@pytest.mark.parametrize("name", METRICS)
def test_does_not_depend_on_the_order_of_the_rows(name: str) -> None:
    metric = create(name)
    for task in metric.tasks:
        prediction, target = classification(60, 4) if task == "classification" else regression(60, 4)
        order = np.random.default_rng(1).permutation(60)
        np.testing.assert_allclose(
            metric.compute(prediction[order], target[order]), metric.compute(prediction, target), rtol=1e-9
        )
