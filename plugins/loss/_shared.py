"""Shared code of several losses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import exp, prod

import numpy as np

from mlpframe.api import Array, Context, Loss, UsageError, check_range

FEW = 32
"""The largest number of logits of a single row for which Python floats are faster than NumPy calls."""


def softmax(logits: Array) -> Array:
    """Probabilities over the last axis; nothing overflows, whatever the logits are."""
    if logits.size <= FEW and logits.size == logits.shape[-1]:
        values: list[float] = logits.ravel().tolist()
        top = max(values)
        exponentials = [exp(value - top) for value in values]
        total = sum(exponentials)
        return np.array([exponential / total for exponential in exponentials], logits.dtype).reshape(
            logits.shape
        )
    powers = np.exp(logits - np.maximum.reduce(logits, -1, keepdims=True))
    probabilities: Array = powers / np.add.reduce(powers, -1, keepdims=True)
    return probabilities


def check_class_weights(class_weights: list[float] | str | None) -> None:
    """Raise ``ValueError`` if the class weights are neither numbers of at least 0 nor ``"balanced"``."""
    if isinstance(class_weights, str):
        if class_weights != "balanced":
            raise ValueError(f"class_weights must be a list of numbers or balanced, not {class_weights!r}")
        return
    for weight in class_weights or ():
        check_range("class_weights", weight, minimum=0)


def require_weights(loss: Loss, class_weights: list[float] | str | None, classes: int) -> None:
    """Raise ``UsageError`` unless the class weights are ``None`` or one number for each class."""
    if class_weights == "balanced":
        raise UsageError(f"loss={loss.name}: class_weights=balanced needs the training rows of a run")
    if class_weights is not None and len(class_weights) != classes:
        raise UsageError(
            f"loss={loss.name}: class_weights has {len(class_weights)} numbers, "
            f"but there are {classes} classes"
        )


def true_elements(output: Array, target: Array) -> tuple[Array, Callable[[], object]]:
    """The flat indices of the true classes' elements in the output, and a function that updates the indices.

    Args:
        output: ``(…, batch, classes)``.
        target: class numbers ``(…, batch)``. Call the returned function after these change.
    """
    *rows, classes = output.shape
    offsets = np.arange(prod(rows)).reshape(rows) * classes
    index = np.empty(rows, np.intp)
    return index.reshape(-1), partial(np.add, offsets, target, index)


def distributions(output: Array, target: Array, ctx: Context) -> tuple[Array, Callable[[], object]]:
    """The targets of a classification as probabilities, and a function that updates the probabilities.

    The probabilities are ``(…, batch, classes)``: the target itself, or one-hot rows of the class numbers.
    """
    if target.ndim == output.ndim:
        return target, lambda: None
    index, locate = true_elements(output, target)
    onehot, one = ctx.array(*output.shape), np.array(1, output.dtype)
    flat = onehot.reshape(-1)

    def update() -> None:
        locate()
        onehot.fill(0)
        flat[index] = one

    return onehot, update
