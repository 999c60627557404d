"""Intervals, worst rows, importance and thresholds agree with counts by hand and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.analysis.evaluation import (
    THRESHOLDS,
    best_threshold,
    importances,
    intervals,
    threshold_scores,
    worst,
)
from mlpframe.api import UsageError

ACCURACY = registries["metric"].create("accuracy")


def test_the_interval_of_an_accuracy_is_that_of_the_binomial_distribution() -> None:
    y = np.zeros(400, int)
    prediction = np.zeros((400, 2))
    prediction[:300, 0] = prediction[300:, 1] = 1
    result = intervals({"accuracy": ACCURACY}, prediction, y, 2000, np.random.default_rng(0))["accuracy"]
    assert result.value == 0.75
    half = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert result.low == pytest.approx(0.75 - half, abs=0.005)
    assert result.high == pytest.approx(0.75 + half, abs=0.005)


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = np.random.default_rng(1)
    prediction, y = rng.random((50, 3)), rng.integers(0, 3, 50)
    one, two = (
        intervals({"accuracy": ACCURACY}, prediction, y, 50, np.random.default_rng(3)) for _ in range(2)
    )
    assert one == two


def test_the_worst_rows_are_wrong_and_in_order() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.45, 0.55]])
    assert worst(p, np.array([0, 0, 0, 0]), "classification", 10).tolist() == [1, 2, 3]
    assert worst(p, np.array([0, 0, 0, 0]), "classification", 1).tolist() == [1]
    values, truth = np.array([[1.0], [5.0], [2.0]]), np.array([[1.0], [1.0], [4.5]])
    assert worst(values, truth, "regression", 10).tolist() == [1, 2]
    each = np.array([[0.9, 0.2], [0.4, 0.7]])
    assert worst(each, np.array([[1, 0], [1, 0]]), "multilabel", 10).tolist() == [1]


def test_the_importance_of_the_only_input_that_counts_is_the_accuracy_above_chance() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 2))
    y = (x[:, 0] > 0).astype(int)

    def predict(x: np.ndarray) -> np.ndarray:
        return np.column_stack([x[:, 0] <= 0, x[:, 0] > 0]).astype(float)

    def permuted(position: int, order: np.ndarray) -> np.ndarray:
        changed = x.copy()
        changed[:, position] = x[order, position]
        return predict(changed)

    def score(prediction: np.ndarray) -> float:
        return float((prediction.argmax(1) == y).mean())

    first, second = importances(["noise", "sign"][::-1], permuted, score, predict(x), 5, rng)
    assert (first.name, second.name) == ("sign", "noise")
    assert first.mean == pytest.approx(0.5, abs=0.03)
    assert first.deviation > 0
    assert (second.mean, second.deviation) == (0, 0)


@pytest.mark.parametrize("maximizes", THRESHOLDS)
def test_no_other_threshold_is_better(maximizes: str) -> None:
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

    rng = np.random.default_rng(2)
    y = (rng.random(80) < 0.3).astype(int)
    p = np.round(np.clip(0.3 * y + rng.random(80) * 0.6, 0, 1), 2)
    measure = {"f1": f1_score, "accuracy": accuracy_score, "balanced_accuracy": balanced_accuracy_score}
    found = best_threshold(p, y, maximizes)
    values = [measure[maximizes](y, p > t) for t in np.linspace(0, 1, 1001)]
    assert measure[maximizes](y, p > found) == pytest.approx(max(values))
    scores = threshold_scores(p, y, np.array([0.2, found]))
    for name, scorer in measure.items():
        np.testing.assert_allclose(scores[name], [scorer(y, p > 0.2), scorer(y, p > found)])


def test_an_unknown_measure_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="--threshold acuracy: nearest: accuracy"):
        best_threshold(np.array([0.5]), np.array([1]), "acuracy")
