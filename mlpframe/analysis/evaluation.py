"""How good predictions are: intervals of metrics, worst mistakes, importance of inputs, best threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..api import Array, Metric, UsageError, nearest
from ..api.component import Task

LEVEL = 0.95
"""The share of intervals that contain the true value."""
THRESHOLDS = ("f1", "accuracy", "balanced_accuracy")
"""The metrics that a threshold between two classes can be chosen to maximize."""


@dataclass(frozen=True)
class Interval:
    """A metric's value on all rows, and the ends of its bootstrap interval."""

    value: float
    low: float
    high: float


def intervals(
    metrics: Mapping[str, Metric], prediction: Array, y: Array, resamples: int, rng: np.random.Generator
) -> dict[str, Interval]:
    """Percentile bootstrap intervals of scalar metrics, 95 %, over the rows.

    Each resample draws as many rows as there are, with replacement. The interval goes from the 2.5 % to the
    97.5 % quantile of the metric over the resamples. It shows how much the value depends on the rows, not on
    the seed of the run. A resample on which a metric has no value, such as roc_auc with one class, is left
    out.

    Args:
        metrics: metrics that are numbers, by name.
        prediction: ``(n, outputs)``.
        y: the targets.
        resamples: the number of resamples.
        rng: draws the rows.

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife".
    """
    values: dict[str, list[float]] = {name: [] for name in metrics}
    for _ in range(resamples):
        rows = rng.integers(0, len(y), len(y))
        for name, metric in metrics.items():
            values[name].append(metric.compute(prediction[rows], y[rows]))
    ends = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    results = {}
    for name, metric in metrics.items():
        known = np.array(values[name])[~np.isnan(values[name])]
        low, high = np.quantile(known, ends) if len(known) else (np.nan, np.nan)
        results[name] = Interval(float(metric.compute(prediction, y)), float(low), float(high))
    return results


def errors(prediction: Array, y: Array, task: Task) -> Array:
    """How wrong each row's prediction is, ``(n,)``; 0 or less: right.

    For a classification, the highest probability of another class minus the probability of the true class.
    For multilabel, the largest |p − y| of a class minus 0.5. For a regression, the largest |error| of a
    target, in units of the target's standard deviation if there are several targets.
    """
    if task == "classification":
        rows = np.arange(len(y))
        others = prediction.astype(np.float64)
        others[rows, y] = -np.inf
        gaps: Array = others.max(1) - prediction[rows, y]
        return gaps
    gaps = np.abs(prediction - y)
    if task == "multilabel":
        return np.asarray(gaps.max(1) - 0.5)
    spread = y.std(0) if y.shape[1] > 1 else np.ones(1)
    return np.asarray((gaps / np.where(spread > 0, spread, 1)).max(1))


def worst(prediction: Array, y: Array, task: Task, most: int) -> NDArray[np.intp]:
    """The rows that are predicted wrong, the worst first, at most ``most``."""
    wrong = errors(prediction, y, task)
    order = np.argsort(-wrong, kind="stable")[:most]
    return order[wrong[order] > 0]


@dataclass(frozen=True)
class Importance:
    """How much worse a metric gets when the values of an input are permuted among the rows."""

    name: str
    mean: float
    deviation: float


def importances(
    names: Sequence[str],
    permuted: Callable[[int, NDArray[np.intp]], Array],
    score: Callable[[Array], float],
    prediction: Array,
    repeats: int,
    rng: np.random.Generator,
) -> list[Importance]:
    """Permutation importance of every input, the most important first.

    importance = mean over the repeats of (score of the predictions − score with the input permuted)

    An input that repeats what another input says may get a small importance, although the model uses it.

    Args:
        names: the names of the inputs.
        permuted: called with the position of an input and a permutation of the rows. Returns the predictions
            if each row gets the value of this input from the permuted row.
        score: how good predictions are; larger is better.
        prediction: the predictions for the unchanged inputs.
        repeats: how many permutations, at least 2; the deviation is the standard deviation over them.
        rng: draws the permutations.

    Source: Breiman 2001, "Random forests"; Fisher, Rudin, Dominici 2019, "All models are wrong, but many are
    useful".
    """
    base = score(prediction)
    results = []
    for position, name in enumerate(names):
        falls = [base - score(permuted(position, rng.permutation(len(prediction)))) for _ in range(repeats)]
        results.append(Importance(name, float(np.mean(falls)), float(np.std(falls, ddof=1))))
    return sorted(results, key=lambda importance: -importance.mean)


def threshold_scores(p: Array, y: Array, threshold: Array) -> dict[str, Array]:
    """The metrics of ``THRESHOLDS`` if the second of two classes is predicted where p > threshold.

    Args:
        p: probability of the second class ``(n,)``.
        y: class numbers ``(n,)``, 0 or 1.
        threshold: the thresholds to try, ``(k,)``. Each metric gets the same shape.
    """
    order = np.argsort(p, kind="stable")
    positives_below = np.concatenate([[0], np.cumsum(y[order])])
    below = np.searchsorted(p[order], threshold, side="right")  # rows with p ≤ t are predicted 0
    missed = positives_below[below]  # FN (false negatives)
    n, n_positive = len(y), int(y.sum())
    hits, rejected = n_positive - missed, below - missed  # TP and TN (true positives and negatives)
    chosen = n - below
    recall = hits / max(1, n_positive)
    specificity = rejected / max(1, n - n_positive)
    return {
        "f1": 2 * hits / np.maximum(1, chosen + n_positive),
        "accuracy": (hits + rejected) / n,
        "balanced_accuracy": (recall + specificity) / 2,
    }


def best_threshold(p: Array, y: Array, maximizes: str) -> float:
    """The threshold that maximizes f1, accuracy or balanced_accuracy, halfway between two probabilities.

    Of several equally good thresholds, the one nearest to 0.5 is taken.

    Raises:
        UsageError: the name is not among ``THRESHOLDS``.
    """
    if maximizes not in THRESHOLDS:
        raise UsageError(f"--threshold {maximizes}: {nearest(maximizes, THRESHOLDS)}")
    p = p.astype(np.float64)
    values = np.unique(p)
    candidates = np.concatenate([[0.0, 0.5], (values[1:] + values[:-1]) / 2])
    scores = threshold_scores(p, y, candidates)[maximizes]
    best = candidates[scores >= scores.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])
