"""Checks of every data set."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..api import DataContext, Splits, Table, UsageError
from ..training.data.prepare import data_folder, load_data
from ..training.rng import Streams
from .components import exercise
from .kit import Skipped, Subject, check, require, require_finite

MISSING = re.compile(r"\bNaN\b|missing", re.IGNORECASE)
"""Matches the help text of a data set that mentions missing values. Only such a data set may have NaN."""


@contextmanager
def no_downloads() -> Iterator[list[str]]:
    """Refuse all downloads inside the ``with`` statement, so that checks run without a network.

    Yields the list of the addresses to which a connection was refused.
    """
    refused: list[str] = []

    def refuse(*asked: Any, **_: Any) -> None:
        refused.append(str(asked[0]))
        raise OSError("the checks do not download files")

    connect, resolve = socket.socket.connect, socket.getaddrinfo
    socket.socket.connect, socket.getaddrinfo = refuse, refuse  # type: ignore[method-assign, assignment]
    try:
        yield refused
    finally:
        socket.socket.connect, socket.getaddrinfo = connect, resolve  # type: ignore[method-assign]


def load(subject: Subject, seed: int = 0) -> Splits:
    """Load the data set. Raises ``Skipped`` with the reason if the data set is not available here."""
    with no_downloads() as refused:
        try:
            splits: Splits = subject.create().load(DataContext(data_folder(None), Streams(seed)["dataset"]))
        except UsageError as error:
            folder = data_folder(None)
            missing = f"its files are not in {folder} (MLPFRAME_DATA), and the checks do not download files"
            raise Skipped(missing if refused else str(error).splitlines()[0]) from error
        except ImportError as error:
            raise Skipped(f"it needs a library that is not installed: {error}") from error
    return splits


def parts(splits: Splits) -> dict[str, Table]:
    parts_by_name = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {name: table for name, table in parts_by_name.items() if table is not None}


@exercise("dataset")
def use(subject: Subject) -> None:
    load(subject)


@check("dataset")
def the_same_seed_gives_the_same_data(subject: Subject) -> None:
    """Loading twice with the same seed gives the same bits."""
    first, second = parts(load(subject)), parts(load(subject))
    require(
        first.keys() == second.keys(),
        f"the data set has the parts {list(first)}, but {list(second)} when loaded again",
    )
    for name, table in first.items():
        for letter, array, reloaded in (("x", table.x, second[name].x), ("y", table.y, second[name].y)):
            require(
                array.shape == reloaded.shape,
                f"{name} {letter} has shape {array.shape}, but {reloaded.shape} when loaded again",
            )
            equal = np.array_equal(array, reloaded, equal_nan=array.dtype.kind == "f")
            require(equal, f"{name} {letter} has other numbers when it is loaded again with the same seed")


@check("dataset")
def parts_have_matching_shapes(subject: Subject) -> None:
    """In every part, x is (n, features), y fits the task, and names and image shape fit the features."""
    splits = load(subject)
    features, classes = splits.train.x.shape[-1], len(splits.class_names)
    for name, table in parts(splits).items():
        x, y = table.x, table.y
        require(
            x.ndim == 2 and len(x) > 0,
            f"{name} x has shape {x.shape}, expected (n, features) with at least one row",
        )
        require(x.shape[1] == features, f"{name} x has {x.shape[1]} features, train x has {features}")
        require(len(y) == len(x), f"{name} has {len(x)} rows of x and {len(y)} of y")
        if splits.task == "multilabel":
            words = f"{name} y has dtype {y.dtype} and shape {y.shape}"
            require(y.shape == (len(x), classes), f"{words}; expected (n, {classes}), as many as class_names")
            require(np.isin(y, (0, 1)).all(), f"{words}; expected 0 and 1 only")
        elif classes:
            require(
                y.ndim == 1, f"{name} y has shape {y.shape}; with class_names, expected class numbers (n,)"
            )
            require(y.dtype.kind in "iu", f"{name} y has dtype {y.dtype}; expected whole class numbers")
        else:
            require(y.ndim == 2, f"{name} y has shape {y.shape}; without class_names, expected values (n, k)")
        if table.weights is not None:
            require(
                table.weights.shape == (len(x),),
                f"{name} has weights of shape {table.weights.shape}, expected {(len(x),)}",
            )
            require((table.weights >= 0).all(), f"{name} has weights below 0")
    names = splits.feature_names
    require(
        not names or len(names) == features, f"there are {len(names)} feature names for {features} features"
    )
    shape = splits.image_shape
    require(
        shape is None or shape[0] * shape[1] == features,
        f"image_shape {shape} does not fit {features} features",
    )


@check("dataset")
def inputs_and_targets_are_finite(subject: Subject) -> None:
    """Inputs and targets are finite. Inputs may be NaN only if the help mentions missing values."""
    may_miss = MISSING.search(subject.cls.__doc__ or "")
    for name, table in parts(load(subject)).items():
        if not may_miss:
            require_finite(f"{name} x (NaN is allowed if the docstring mentions missing values)", table.x)
        if table.y.dtype.kind == "f":
            require_finite(f"{name} y", table.y)


@check("dataset")
def class_numbers_count_from_0(subject: Subject) -> None:
    """Class numbers count from 0 and are below the number of class names."""
    splits = load(subject)
    classes = len(splits.class_names)
    if splits.task != "classification":
        return
    for name, table in parts(splits).items():
        low, high = int(table.y.min()), int(table.y.max())
        require(
            0 <= low <= high < classes, f"{name} has class numbers from {low} to {high} for {classes} names"
        )


@check("dataset")
def data_can_be_prepared_for_a_run(subject: Subject) -> None:
    """The data set can be prepared for a run: inputs have the run's dtype, and classes are integers."""
    splits = load(subject)
    dtype = splits.train.x.dtype.name if splits.train.mapping is not None else "float32"
    with no_downloads():
        data = load_data(subject.create(), data_folder(None), dtype, Streams(0), final=False)
    require(data.train.x.dtype == dtype, f"train x is {data.train.x.dtype} in a run of {dtype}")
    kind = np.dtype(np.intp if splits.task == "classification" else dtype)
    require(data.train.y.dtype == kind, f"train y is {data.train.y.dtype}, expected {kind}")
    require(
        data.validation is not None or not subject.create().shared.validation,
        "no validation rows are held out",
    )
