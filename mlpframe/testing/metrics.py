"""Checks of every metric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..api import Array
from .components import exercise
from .kit import Subject, check, require, require_close, require_finite

ROWS, OUTPUTS = 40, 4
RANDOM = 20
"""Number of random predictions that the perfect prediction is compared with."""


def problems(
    subject: Subject, outputs: tuple[int, ...] = (OUTPUTS, 2)
) -> Iterator[tuple[str, Array, Array, Array]]:
    """A description, predictions, targets, and the perfect predictions, for each task."""
    for k in outputs:
        rng = np.random.default_rng(k)
        if "classification" in subject.cls.tasks:
            target = rng.permutation(np.arange(ROWS) % k)
            yield f"{k} classes", probabilities(rng, k), target, np.eye(k)[target]
        if "regression" in subject.cls.tasks:
            values = rng.uniform(0.5, 2.0, (ROWS, k))
            yield f"{k} values", values * rng.uniform(0.5, 1.5, values.shape), values, values.copy()
        if "multilabel" in subject.cls.tasks:
            several = rng.integers(0, 2, (ROWS, k)).astype(np.float64)
            several[:2] = [[0.0], [1.0]]  # every class occurs, and no class occurs in every row
            yield f"{k} classes, several a row", rng.uniform(0, 1, (ROWS, k)), several, several.copy()


def probabilities(rng: np.random.Generator, k: int) -> Array:
    raw = rng.uniform(0.01, 1, (ROWS, k))
    probabilities: Array = raw / raw.sum(-1, keepdims=True)
    return probabilities


@exercise("metric")
def use(subject: Subject) -> None:
    for _, prediction, target, _ in problems(subject):
        subject.create().compute(prediction, target)


@check("metric")
def result_is_a_finite_number_or_array(subject: Subject) -> None:
    """A scalar metric returns one finite number, and any other metric a finite array, also in float32."""
    for words, prediction, target, _ in problems(subject):
        for dtype in ("float64", "float32"):
            value = subject.create().compute(prediction.astype(dtype), target)
            require_finite(f"the metric ({words})", value)
            if subject.cls.scalar:
                require(
                    np.ndim(value) == 0,
                    f"a scalar metric must return one number, not an array of shape {np.shape(value)}",
                )
                float(value)
            else:
                require(
                    isinstance(value, np.ndarray),
                    f"a metric with scalar = False must return an array, not a {type(value).__name__}",
                )


@check("metric")
def repeating_gives_the_same_result(subject: Subject) -> None:
    """The same predictions and targets give the same bits again, and the metric does not change them."""
    for words, prediction, target, _ in problems(subject):
        before = prediction.copy(), target.copy()
        metric = subject.create()
        first, second = metric.compute(prediction, target), metric.compute(prediction, target)
        require_close(f"the metric, computed again, ({words})", np.asarray(second), np.asarray(first))
        require_close("the predictions afterwards", prediction, before[0])
        require_close("the targets afterwards", target, before[1])


@check("metric")
def order_of_the_rows_does_not_matter(subject: Subject) -> None:
    """The order of the rows does not change the result, except for rounding errors."""
    for words, prediction, target, _ in problems(subject):
        metric = subject.create()
        expected = np.asarray(metric.compute(prediction, target), np.float64)
        for order in (np.arange(ROWS)[::-1], np.random.default_rng(5).permutation(ROWS)):
            reordered = np.asarray(metric.compute(prediction[order].copy(), target[order].copy()), np.float64)
            require_close(
                f"the metric with rows in another order ({words})", reordered, expected, rtol=1e-9, atol=1e-12
            )


@check("metric")
def the_perfect_prediction_has_the_best_value(subject: Subject) -> None:
    """A scalar metric has its highest or its lowest value at the perfect prediction."""
    if not subject.cls.scalar:
        return
    for words, _, target, perfect in problems(subject):
        rng, metric = np.random.default_rng(6), subject.create()
        best = float(metric.compute(perfect, target))
        require_finite(f"the metric of a perfect prediction ({words})", best)
        tried = [float(metric.compute(_random(rng, perfect, target), target)) for _ in range(RANDOM)]
        require(
            best >= max(tried) - 1e-9 or best <= min(tried) + 1e-9,
            f"the perfect prediction has {best:.6g}, "
            f"random predictions have {min(tried):.6g} to {max(tried):.6g} ({words})",
        )


def _random(rng: np.random.Generator, perfect: Array, target: Any) -> Array:
    if target.ndim == 1:
        return probabilities(rng, perfect.shape[1])
    if np.isin(target, (0, 1)).all():
        return rng.uniform(0, 1, perfect.shape)
    return perfect * rng.uniform(0.3, 1.7, perfect.shape)


@check("metric")
def one_row_is_enough(subject: Subject) -> None:
    """One row gives a result of the same shape, without an exception."""
    for words, prediction, target, _ in problems(subject):
        value = subject.create().compute(prediction[:1], target[:1])
        if subject.cls.scalar:
            require(np.ndim(value) == 0, f"for one row the result has shape {np.shape(value)} ({words})")


@check("metric")
def nan_predictions_give_nan(subject: Subject) -> None:
    """If a prediction is NaN, a scalar metric is NaN, and every element of an array metric is NaN."""
    for words, prediction, target, _ in problems(subject):
        shape = np.shape(subject.create().compute(prediction, target))
        for dtype in ("float64", "float32"):
            holed = prediction.astype(dtype)
            holed[ROWS // 2, 0] = np.nan
            value = np.asarray(subject.create().compute(holed, target))
            require(
                value.shape == shape,
                f"with NaN among the predictions the shape is {value.shape}, expected {shape} ({words})",
            )
            require(
                bool(np.isnan(value).all()),
                f"with NaN among the predictions the metric is {value}, expected NaN ({words})",
            )
