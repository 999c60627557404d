"""Metrics, compared with scikit-learn's metrics, or with computations by hand if scikit-learn has none."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from mlpframe import registries
from mlpframe.api import Array, Metric

METRICS = registries["metric"]
SHAPES = [(1, 2), (2, 2), (50, 3), (300, 10), (7, 26)]


def create(name: str, **options: Any) -> Metric:
    metric: Metric = registries["metric"].create(name, **options)
    return metric


def classification(n: int, classes: int, dtype: Any = np.float32) -> tuple[Array, Array]:
    """Predicted class probabilities, which tend to favor the true class, and the true class numbers."""
    rng = np.random.default_rng([n, classes])
    target = rng.integers(0, classes, n)
    scores = rng.random((n, classes))
    scores[np.arange(n), target] += 0.3
    return (scores / scores.sum(1, keepdims=True)).astype(dtype), target


def regression(n: int, outputs: int) -> tuple[Array, Array]:
    rng = np.random.default_rng([n, outputs])
    target = rng.standard_normal((n, outputs)) * np.logspace(-3, 3, outputs) + 5
    return target + 0.5 * rng.standard_normal((n, outputs)), target


def multilabel(n: int, classes: int) -> tuple[Array, Array]:
    """Predicted probabilities, which tend to favor the true classes, and the true 0 or 1 for each class."""
    rng = np.random.default_rng([n, classes])
    target = rng.integers(0, 2, (n, classes)).astype(float)
    return 0.7 * rng.random((n, classes)) + 0.3 * target, target


# --- classification ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
@pytest.mark.parametrize("shape", [*SHAPES, (200, 5)])
def test_accuracy_confusion_matrix_precision_recall_and_f1_are_scikit_learns(
    shape: tuple[int, int], kind: Any
) -> None:
    prediction, target = classification(*shape)
    if shape == (200, 5):
        prediction[:, 4] = 0  # a class that is never predicted
        target[target == 2] = 3  # a class that never occurs
    chosen, classes = prediction.argmax(1), range(shape[1])
    table = sk.precision_recall_fscore_support(target, chosen, labels=classes, zero_division=0)
    for name, expected in (
        ("accuracy", sk.accuracy_score(target, chosen)),
        ("error_rate", sk.zero_one_loss(target, chosen)),
        ("confusion_matrix", sk.confusion_matrix(target, chosen, labels=classes)),
        ("per_class", np.transpose(table[:3])),
    ):
        np.testing.assert_allclose(
            create(name).compute(prediction, target.astype(kind)), expected, atol=1e-15
        )
    for average in ("macro", "micro"):  # averages over the classes that occur or are predicted
        scores = sk.precision_recall_fscore_support(target, chosen, average=average, zero_division=0)
        for name, expected in zip(("precision", "recall", "f1"), scores, strict=False):
            value = create(name, average=average).compute(prediction, target.astype(kind))
            assert value == pytest.approx(expected, rel=1e-13)


HAND = np.array(
    [
        [0.7, 0.2, 0.1],  # class 0, predicted as 0
        [0.4, 0.5, 0.1],  # class 0, predicted as 1
        [0.3, 0.6, 0.1],  # class 1, predicted as 1
        [0.5, 0.5, 0.0],  # class 1, predicted as 0: the first of two equal
    ]
)
HAND_TRUE = np.array([0, 0, 1, 1])  # class 2 does not occur and is never the most probable
"""The counts by hand: TP, FP and FN are 1 for class 0 and for class 1, and 0 for class 2."""


def by_hand(name: str, **options: Any) -> Any:
    return create(name, **options).compute(HAND, HAND_TRUE)


def test_scores_by_hand() -> None:
    for name in ("precision", "recall", "f1"):
        assert by_hand(name) == 0.5
        assert by_hand(name, average="micro") == 0.5
    assert by_hand("per_class").tolist() == [[0.5] * 3, [0.5] * 3, [0] * 3]
    assert by_hand("top_k", k=1) == by_hand("accuracy") == 0.5
    assert by_hand("top_k", k=2) == by_hand("top_k", k=3) == by_hand("top_k", k=9) == 1
    assert by_hand("log_loss") == pytest.approx(-math.log(0.7 * 0.4 * 0.6 * 0.5) / 4, rel=1e-15)
    squares = (0.09 + 0.04 + 0.01) + (0.36 + 0.25 + 0.01) + (0.09 + 0.16 + 0.01) + (0.25 + 0.25)
    assert by_hand("brier") == pytest.approx(squares / 4, rel=1e-14)
    # Class 0: 0.7 and 0.4 against 0.3 and 0.5 give 3 of 4 pairs in the right order. Class 1: 0.6 and 0.5
    # against 0.2 and 0.5 give 3½, because an equal pair counts half.
    assert by_hand("roc_auc") == (3 / 4 + 3.5 / 4) / 2
    # The rows with the confidences 0.7 and 0.6 are right, the two rows with 0.5 are wrong. Two bins end at
    # 0.5 and at 1.
    assert by_hand("calibration_error", bins=2) == pytest.approx((0.3 + 0.4) / 4 + 1 / 4, rel=1e-14)
    assert by_hand("calibration_error", bins=1) == pytest.approx(abs(0.5 - 2.3 / 4), rel=1e-14)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_agrees_with_a_stable_sort_and_with_scikit_learn(k: int) -> None:
    rng = np.random.default_rng(k)
    prediction, target = rng.integers(0, 3, (200, 5)).astype(float), rng.integers(0, 5, 200)
    best = np.argsort(-prediction, 1, kind="stable")[:, :k]
    expected = np.mean([c in row for c, row in zip(target, best, strict=True)])
    assert create("top_k", k=k).compute(prediction, target) == expected
    prediction, target = classification(50, 5)
    expected = sk.top_k_accuracy_score(target, prediction, k=k, labels=range(5))
    assert create("top_k", k=k).compute(prediction, target) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("shape", [(40, 2), (50, 3), (60, 7)])
@pytest.mark.parametrize("ties", [False, True])
def test_roc_auc_is_the_share_of_pairs_in_order_and_scikit_learns(shape: tuple[int, int], ties: bool) -> None:
    prediction, target = classification(*shape, np.float64)
    if ties:
        prediction = prediction.round(1)
    pairs, areas = [], []
    for c in [1] if shape[1] == 2 else range(shape[1]):
        order = np.subtract.outer(prediction[target == c, c], prediction[target != c, c])
        pairs.append(np.mean((np.sign(order) + 1) / 2))
        areas.append(sk.roc_auc_score(target == c, prediction[:, c]))
    for expected in (np.mean(pairs), np.mean(areas)):
        assert create("roc_auc").compute(prediction, target) == pytest.approx(expected, rel=1e-12)


def test_roc_auc_leaves_out_classes_that_do_not_occur() -> None:
    prediction, target = classification(60, 5)
    target = target % 3  # the classes 3 and 4 do not occur
    expected = np.mean([sk.roc_auc_score(target == c, prediction[:, c]) for c in range(3)])
    assert create("roc_auc").compute(prediction, target) == pytest.approx(expected, rel=1e-12)
    assert math.isnan(create("roc_auc").compute(prediction, np.zeros_like(target)))
    two, one = prediction[:, :2], np.ones(60, int)
    assert math.isnan(create("roc_auc").compute(two, one))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_and_brier_agree_with_scikit_learn_and_with_loops(
    shape: tuple[int, int], dtype: Any
) -> None:
    prediction, target = classification(*shape, dtype)
    exact = prediction.astype(np.float64)
    exact /= exact.sum(1, keepdims=True)
    expected = sk.log_loss(target, exact, labels=range(shape[1]))
    assert create("log_loss").compute(prediction, target) == pytest.approx(expected, rel=1e-6)
    rows = [
        sum((p - (j == c)) ** 2 for j, p in enumerate(row))
        for row, c in zip(prediction.tolist(), target.tolist(), strict=True)
    ]
    assert create("brier").compute(prediction, target) == pytest.approx(np.mean(rows), rel=1e-12)
    if shape[1] == 2 and len(set(target)) == 2:  # scikit-learn uses one class only
        expected = 2 * sk.brier_score_loss(target, exact[:, 1])
        assert create("brier").compute(exact, target) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_perfect_and_of_certain_wrong_predictions(dtype: Any) -> None:
    right, target = np.eye(3, dtype=dtype), np.arange(3)
    wrong = (target + 1) % 3
    assert create("log_loss").compute(right, target) == 0
    least = -math.log(np.finfo(dtype).smallest_normal)
    assert create("log_loss").compute(right, wrong) == pytest.approx(least, rel=1e-7)
    assert create("brier").compute(right, target) == 0
    assert create("brier").compute(right, wrong) == 2
    assert create("calibration_error").compute(right, target) == 0
    assert create("calibration_error").compute(right, wrong) == 1
    assert create("calibration_error").compute(np.zeros((3, 3), dtype), wrong) == pytest.approx(1 / 3)


def test_probabilities_that_do_not_sum_to_1_are_divided_by_their_sum() -> None:
    each = np.array([[0.9, 0.9, 0.2], [0.1, 0.0, 0.0], [0.0, 0.0, 0.0]])  # as of binary_cross_entropy
    expected = (math.log(2 / 0.9) + 0 + math.log(3)) / 3  # all 0: equal probabilities
    assert create("log_loss").compute(each, np.array([0, 0, 1])) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_calibration_error_agrees_with_a_loop_over_the_bins(bins: int) -> None:
    prediction, target = classification(300, 4, np.float64)
    confidence, right = prediction.max(1), prediction.argmax(1) == target
    total = 0.0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            total += inside.mean() * gap
    assert create("calibration_error", bins=bins).compute(prediction, target) == pytest.approx(
        total, rel=1e-12
    )


@pytest.mark.parametrize(
    "name", [name for name in METRICS.names() if "classification" in METRICS[name].tasks]
)
def test_missing_classes_cause_no_warning(name: str) -> None:
    prediction, target = classification(20, 4)
    never = prediction.copy()
    never[:, 1] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for p, c in ((never, target), (prediction, target * 0 + 1), (never, target * 0 + 1)):
            create(name).compute(p, c)
            create(name).compute(p[:1], c[:1])


def test_a_subclass_of_a_metric_returns_nan_for_nan_predictions() -> None:
    class Half(type(create("accuracy"))):
        def compute(self, prediction: np.ndarray, target: np.ndarray) -> float:
            return super().compute(prediction, target) / 2

    prediction, target = np.eye(3), np.arange(3)
    assert Half().compute(prediction, target) == 0.5
    assert math.isnan(Half().compute(np.where(prediction == 0, np.nan, prediction), target))


# --- multilabel ----------------------------------------------------------------------------------------


def thinned(n: int, classes: int) -> tuple[Array, Array]:
    """As ``multilabel``, but class 0 has no rows, class 1 is never predicted, and class 2 has neither."""
    prediction, target = multilabel(n, classes)
    target[:, 0] = target[:, 2] = 0
    prediction[:, 1] = prediction[:, 2] = 0.5  # only above 0.5 is predicted
    return prediction, target


@pytest.mark.parametrize("draw", [multilabel, thinned])
@pytest.mark.parametrize("shape", [(2, 3), (50, 3), (300, 10)])
@pytest.mark.parametrize("average", ["macro", "micro"])
def test_multilabel_averages_are_scikit_learns(draw: Any, shape: tuple[int, int], average: str) -> None:
    prediction, target = draw(*shape)
    chosen = prediction > 0.5
    expected = sk.precision_recall_fscore_support(target, chosen, average=average, zero_division=0)
    for name, value in zip(("precision", "recall", "f1"), expected[:3], strict=True):
        score = create(name, average=average).compute(prediction, target.astype(np.float32))
        assert score == pytest.approx(value, rel=1e-13)
    table = sk.precision_recall_fscore_support(target, chosen, average=None, zero_division=0)[:3]
    np.testing.assert_allclose(
        create("per_class").compute(prediction, target), np.stack(table, 1), rtol=1e-13
    )


@pytest.mark.parametrize("draw", [multilabel, thinned])
@pytest.mark.parametrize("shape", [(2, 3), (50, 3), (300, 10)])
def test_subset_accuracy_and_hamming_loss_are_scikit_learns(draw: Any, shape: tuple[int, int]) -> None:
    prediction, target = draw(*shape)
    prediction[0] = target[0]
    chosen = prediction > 0.5
    accuracy, hamming = create("subset_accuracy"), create("hamming_loss")
    assert accuracy.compute(prediction, target) == pytest.approx(sk.accuracy_score(target, chosen), rel=1e-15)
    assert hamming.compute(prediction, target) == pytest.approx(sk.hamming_loss(target, chosen), rel=1e-13)


def test_subset_accuracy_and_hamming_loss_by_hand() -> None:
    target = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
    prediction = np.array([[0.9, 0.1, 0.6], [0.5, 0.2, 0.3], [0.9, 0.4, 0.8], [0.7, 0.2, 0.1]])
    assert create("subset_accuracy").compute(prediction, target) == 0.5  # the first two rows are right
    assert create("hamming_loss").compute(prediction, target) == 3 / 12
    assert create("precision", average="micro").compute(prediction, target) == 4 / 5
    assert create("recall", average="micro").compute(prediction, target) == 4 / 6


def test_multilabel_metrics_with_a_single_class() -> None:
    prediction, target = np.array([[0.9], [0.8], [0.1], [0.2]]), np.array([[1], [0], [1], [0]])
    for name in ("precision", "recall", "f1", "subset_accuracy", "hamming_loss"):
        assert create(name).compute(prediction, target) == 0.5
    assert create("roc_auc").compute(prediction, target) == 0.5


@pytest.mark.parametrize("shape", [(40, 1), (40, 2), (60, 7)])
def test_multilabel_roc_auc_is_scikit_learns(shape: tuple[int, int]) -> None:
    prediction, target = multilabel(*shape)
    expected = sk.roc_auc_score(target, prediction)
    assert create("roc_auc").compute(prediction, target) == pytest.approx(expected, rel=1e-12)
    target[:, 0] = 1  # the metric leaves out a class that every row has
    if shape[1] > 1:
        expected = sk.roc_auc_score(target[:, 1:], prediction[:, 1:])
        assert create("roc_auc").compute(prediction, target) == pytest.approx(expected, rel=1e-12)
    else:
        assert math.isnan(create("roc_auc").compute(prediction, target))


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


def test_r2_of_constant_targets() -> None:
    prediction, target = regression(100, 4)
    target[:, 1] = 3.0  # predicted badly: counts as 0
    target[:, 2] = prediction[:, 2] = 2.0  # predicted perfectly: counts as 1
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


@pytest.mark.parametrize("shape", [(1, 1), (10, 1), (100, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mean_errors_are_scikit_learns(shape: tuple[int, int], dtype: Any) -> None:
    prediction, target = (array.astype(dtype) for array in regression(*shape))
    tolerance = 1e-6 if dtype == np.float32 else 1e-12
    expected = sk.mean_absolute_error(target, prediction)
    assert create("mae").compute(prediction, target) == pytest.approx(expected, rel=tolerance)
    expected = sk.root_mean_squared_error(target, prediction)
    assert create("rmse").compute(prediction, target) == pytest.approx(expected, rel=tolerance)


def test_mean_errors_by_hand() -> None:
    prediction, target = np.array([[1.0, 0.0], [2.0, 0.0]]), np.array([[1.0, 3.0], [0.0, -4.0]])
    assert create("mae").compute(prediction, target) == (0 + 3 + 2 + 4) / 4
    # The two outputs have √(4/2) and √(25/2). The metric is their mean, not the root of the mean square.
    expected = (math.sqrt(2) + math.sqrt(12.5)) / 2
    assert create("rmse").compute(prediction, target) == pytest.approx(expected, rel=1e-15)
