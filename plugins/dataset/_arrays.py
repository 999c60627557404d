"""Turns a user's arrays into the parts of a data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpframe.api import Array, Splits, Table, UsageError

TASKS = {
    "auto": "classes (rows,), or floating values (rows,) or (rows, outputs), "
    "or whole numbers (rows, classes), 0 or 1 for each of several classes",
    "classification": "classes (rows,)",
    "multilabel": "numbers (rows, classes), 0 or 1 for each class",
    "regression": "numbers (rows,) or (rows, outputs)",
}
"""For each value of the option ``task``: the targets that are expected, as error messages name them."""
FORMS = {"classification": ("biuU", (1,)), "multilabel": ("biuf", (2,)), "regression": ("biuf", (1, 2))}
"""For each task: the allowed types of its targets (letters of ``dtype.kind``), and their numbers of axes."""


def as_splits(
    train: tuple[Any, Any],
    test: tuple[Any, Any] | None = None,
    weights: Any = None,
    feature_names: tuple[str, ...] = (),
    class_names: tuple[str, ...] = (),
    task: str = "auto",
) -> Splits:
    """Build the parts of a data set from inputs and targets.

    Args:
        train: inputs ``(rows, features)``, or images ``(rows, height, width)``, and targets. Targets
            ``(rows,)`` of whole numbers, truth values or texts are classes, named by their sorted values.
            Whole numbers or truth values ``(rows, classes)``, at least 2 classes, are multilabel: 1 for each
            class that the row has, else 0. Floating-point targets ``(rows,)`` or ``(rows, outputs)`` are the
            values of a regression.
        test: inputs and targets of a test part.
        weights: the weights of the training rows ``(rows,)``; ``None``: all rows count the same.
        feature_names: the names of the input columns.
        class_names: the names of the classes of multilabel targets, in the order of the columns; empty: the
            classes are called 0, 1, …
        task: what the targets are: one of ``TASKS``. "auto" decides by type and shape, as above.

    Raises:
        UsageError: the inputs or the targets have a type or a shape that is not listed above.
    """
    pairs = [train] if test is None else [train, test]
    inputs = [_inputs(x) for x, _ in pairs]
    targets = [np.asarray(y) for _, y in pairs]
    expected, reason = TASKS[task], f"dataset.task={task}"
    if task == "auto":
        task, reason = _task(targets[0])
    targets = [_targets(y, task, expected) for y in targets]
    shape, integer = inputs[0].shape[1:], False
    if task == "regression":
        class_names = ()
    elif task == "multilabel":
        class_names = class_names or tuple(map(str, range(targets[0].shape[1])))
    else:
        values, numbers = np.unique(np.concatenate(targets), return_inverse=True)
        class_names, integer = tuple(map(str, values.tolist())), values.dtype.kind in "iu"
        reason = reason or f"{len(values):,} different {'whole numbers' if integer else 'classes'}"
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
        integer_classes=integer,
        task_reason=reason,
    )


def _inputs(x: Any) -> Array:
    array = np.asarray(x)
    if array.dtype.kind not in "biuf" or array.ndim not in (2, 3) or not array.size:
        raise UsageError(
            "inputs must be numbers of shape (rows, features) or (rows, height, width), at least one, "
            f"not {array.dtype} of shape {array.shape}"
        )
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def check_task(task: str) -> None:
    """Raise ``ValueError`` if the option ``task`` is not one of ``TASKS``."""
    if task not in TASKS:
        *others, last = TASKS
        raise ValueError(f"task must be {', '.join(others)} or {last}, not {task!r}")


def _task(targets: Array) -> tuple[str, str]:
    """The task that ``task=auto`` chooses for these targets, and the reason, which is shown to the user.

    A single column of whole numbers, ``(rows, 1)``, does not count as multilabel, because the user probably
    meant class numbers ``(rows,)``. For a classification the reason is empty: ``as_splits`` writes the reason
    after it has counted the classes.
    """
    if targets.dtype.kind == "f":
        return "regression", "floating-point numbers"
    if targets.dtype.kind in "biu" and targets.ndim == 2 and targets.shape[1] > 1:
        return "multilabel", f"{targets.shape[1]:,} columns of whole numbers"
    return "classification", ""


def _targets(array: Array, task: str, expected: str) -> Array:
    if array.dtype.kind == "O":
        array = array.astype(str)
    types, axes = FORMS[task]
    if array.dtype.kind not in types or array.ndim not in axes:
        raise UsageError(f"targets must be {expected}, not {array.dtype} of shape {array.shape}")
    return array[:, None] if task == "regression" and array.ndim == 1 else array
