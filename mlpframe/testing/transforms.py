"""Checks of every transform."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..api import Array, UsageError
from .components import exercise
from .kit import Skipped, Subject, check, require, require_close, require_finite

CLASSES = 3
SHAPES = ((6, 8, 8), (6, 5, 7), (1, 8, 8), (0, 8, 8))
ROW_SHAPES = ((6, 1, 9), (1, 1, 9), (0, 1, 9), (6, 1, 1))

Rows = tuple[str, Array, Array]


def problems(subject: Subject, dtype: str = "float32") -> Iterator[Rows]:
    """A description, rows and targets of each case that the transform accepts.

    The rows are images, and also rows without an image shape if the transform accepts such rows. The targets
    are class numbers, probabilities or values.
    """
    cls = subject.cls
    count = 0
    for shape in SHAPES if cls.needs_images else (*SHAPES, *ROW_SHAPES):
        rng = np.random.default_rng(shape)
        x = rng.uniform(0, 1, shape).astype(dtype)
        classes = rng.integers(0, CLASSES, shape[0])
        probabilities = np.eye(CLASSES, dtype=dtype)[classes]
        values = rng.uniform(0, 1, (shape[0], 2)).astype(dtype)
        targets = [("probabilities", probabilities), ("values", values)]
        for words, y in targets if cls.mixes else [("classes", classes), *targets]:
            try:
                subject.create().apply(x.copy(), y.copy(), np.random.default_rng(0))
            except (ValueError, UsageError):
                continue
            count += shape[0] > 1
            yield f"{shape[0]} rows of {shape[1]} × {shape[2]}, {words}", x, y
    if not count:
        subject.create()  # if the options are the reason, this raises their error
        raise Skipped("the transform refuses all rows that the kit tries; set examples to options to try")


def apply(subject: Subject, x: Array, y: Array, seed: int = 0) -> tuple[Array, Array]:
    transformed: tuple[Array, Array] = subject.create().apply(x.copy(), y.copy(), np.random.default_rng(seed))
    return transformed


@exercise("transform")
def use(subject: Subject) -> None:
    for _, x, y in problems(subject):
        apply(subject, x, y)


@check("transform")
def the_same_stream_gives_the_same_result(subject: Subject) -> None:
    """The same rows and the same random stream give the same bits."""
    for words, x, y in problems(subject):
        first, second = apply(subject, x, y), apply(subject, x, y)
        for name, first_array, second_array in zip("xy", first, second, strict=True):
            require_close(f"{name} with the same random stream ({words})", second_array, first_array)


@check("transform")
def shape_and_type_are_kept(subject: Subject) -> None:
    """Rows and targets keep their shapes and types, in float32 and float64, and x is finite."""
    for dtype in ("float32", "float64"):
        for words, x, y in problems(subject, dtype):
            for name, before, after in zip("xy", (x, y), apply(subject, x, y), strict=True):
                require(
                    after.shape == before.shape,
                    f"{name} has shape {after.shape}, expected {before.shape} ({words})",
                )
                require(
                    after.dtype == before.dtype,
                    f"{name} has dtype {after.dtype}, expected {before.dtype} ({words})",
                )
            require_finite(f"x ({words})", apply(subject, x, y)[0])


@check("transform")
def targets_stay_valid(subject: Subject) -> None:
    """Class numbers stay in their range, probabilities are at least 0 and sum to 1, values are finite."""
    for words, x, y in problems(subject):
        after = apply(subject, x, y)[1]
        require_finite(f"y ({words})", after)
        if after.ndim == 1 and len(after):
            require(
                after.min() >= 0 and after.max() < CLASSES,
                f"the class numbers go from {after.min()} to {after.max()}",
            )
        if words.endswith("probabilities"):
            require((after >= 0).all(), f"some probabilities are below 0 ({words})")
            require_close(f"sums of probabilities ({words})", after.sum(-1), np.ones(len(after)), atol=1e-5)


@check("transform")
def zero_rows_and_one_row_work(subject: Subject) -> None:
    """The transform works on zero rows and on one row."""
    rows = {int(words.split()[0]) for words, _, _ in problems(subject)}
    for number in (0, 1):
        require(number in rows, f"a block of {number} rows is refused")
