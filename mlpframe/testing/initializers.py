"""Checks of every initializer."""

from __future__ import annotations

import numpy as np

from ..api import Array, Parameter, UsageError
from .components import exercise
from .kit import Skipped, Subject, check, require, require_close, require_finite

SHAPES = ((5, 3), (3, 5), (4, 4), (7,), (1,), (1, 1), (1, 6), (6, 1), (40, 50))


def filled(subject: Subject, shape: tuple[int, ...], seed: int = 0) -> Array | None:
    """Fill an array of NaN with the initializer. Returns ``None`` if the initializer refuses the shape."""
    out = np.full(shape, np.nan)
    parameter = Parameter(shape, subject.name, fan_in=shape[0], fan_out=shape[-1])
    try:
        subject.create().fill(out, parameter, np.random.default_rng(seed))
    except (ValueError, UsageError):
        return None
    return out


def all_filled(subject: Subject) -> dict[tuple[int, ...], Array]:
    arrays_by_shape = {shape: filled(subject, shape) for shape in SHAPES}
    accepted: dict[tuple[int, ...], Array] = {
        shape: array for shape, array in arrays_by_shape.items() if array is not None
    }
    if not accepted:
        subject.create()  # if the options are the reason, this raises their error
        raise Skipped(f"the initializer refuses the shapes {', '.join(map(str, SHAPES))}")
    return accepted


@exercise("initializer")
def use(subject: Subject) -> None:
    all_filled(subject)


@check("initializer")
def every_element_is_filled(subject: Subject) -> None:
    """The initializer sets every element of a parameter of any shape to a finite number."""
    for shape, array in all_filled(subject).items():
        require_finite(f"a parameter of shape {shape}", array)


@check("initializer")
def the_same_stream_gives_the_same_values(subject: Subject) -> None:
    """The same random stream gives the same bits."""
    for shape, array in all_filled(subject).items():
        again = filled(subject, shape)
        require(again is not None, f"the shape {shape} is accepted once and then refused")
        require_close(f"a parameter of shape {shape}, filled again,", np.asarray(again), array)


@check("initializer")
def views_are_filled_in_place(subject: Subject) -> None:
    """``fill`` writes into the given array and returns nothing."""
    for shape in all_filled(subject):
        pair = np.full((2, *shape), np.nan)
        parameter = Parameter(shape, subject.name, fan_in=shape[0], fan_out=shape[-1])
        returned = subject.create().fill(pair[0], parameter, np.random.default_rng(0))
        require(
            returned is None,
            f"fill returns a {type(returned).__name__}; expected None, with out filled in place",
        )
        require_finite(f"a parameter of shape {shape}", pair[0])
        require(np.isnan(pair[1]).all(), "fill writes beyond the array that it is given")
