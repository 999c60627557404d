"""Turns a user's arrays into the parts of a data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpframe.api import Array, Splits, Table, UsageError


def as_splits(
    train: tuple[Any, Any],
    test: tuple[Any, Any] | None = None,
    weights: Any = None,
    feature_names: tuple[str, ...] = (),
) -> Splits:
    """Build the parts of a data set from inputs and targets.

    Args:
        train: inputs ``(rows, features)``, or images ``(rows, height, width)``, and targets. Targets
            ``(rows,)`` of whole numbers, truth values or texts are classes, named by their sorted values.
            Floating-point targets ``(rows,)`` or ``(rows, outputs)`` are the values of a regression.
        test: inputs and targets of a test part.
        weights: the weights of the training rows ``(rows,)``; ``None``: all rows count the same.
        feature_names: the names of the input columns.

    Raises:
        UsageError: the inputs or the targets have another type or shape.
    """
    pairs = [train] if test is None else [train, test]
    inputs = [_inputs(x) for x, _ in pairs]
    targets = [_targets(y) for _, y in pairs]
    shape = inputs[0].shape[1:]
    class_names: tuple[str, ...] = ()
    if targets[0].ndim == 1:
        values, numbers = np.unique(np.concatenate(targets), return_inverse=True)
        class_names = tuple(map(str, values.tolist()))
        targets = np.split(numbers.astype(np.intp), [len(targets[0])])
    tables = [
        Table(np.ascontiguousarray(x.reshape(len(x), -1)), np.ascontiguousarray(y))
        for x, y in zip(inputs, targets, strict=False)
    ]
    if weights is not None:
        tables[0] = Table(tables[0].x, tables[0].y, np.asarray(weights))
    return Splits(
        tables[0],
        test=tables[1] if test is not None else None,
        class_names=class_names,
        feature_names=feature_names,
        image_shape=(shape[0], shape[1]) if len(shape) == 2 else None,
    )


def _inputs(x: Any) -> Array:
    array = np.asarray(x)
    if array.dtype.kind not in "biuf" or array.ndim not in (2, 3):
        raise UsageError(
            "inputs must be numbers of shape (rows, features) or (rows, height, width), "
            f"not {array.dtype} of shape {array.shape}"
        )
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _targets(y: Any) -> Array:
    array = np.asarray(y)
    if array.dtype.kind == "O":
        array = array.astype(str)
    is_float = array.dtype.kind == "f"
    if array.dtype.kind not in "biufU" or array.ndim not in ((1, 2) if is_float else (1,)):
        raise UsageError(
            "targets must be classes (rows,), or floating values (rows,) or (rows, outputs), "
            f"not {array.dtype} of shape {array.shape}"
        )
    return array[:, None] if is_float and array.ndim == 1 else array
