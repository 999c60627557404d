"""The encoder: turns the user's rows into numbers for the network, and predictions into the user's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ....api import Array, ColumnRules, Shapes, UsageError, nearest
from .columns import OTHER, Column, Feature, LeftOut, category_name, from_about, understand

if TYPE_CHECKING:
    import pandas as pd

CONSTANT = 1e-12
"""A spread below this share of the mean is rounding error: the feature is constant."""
TRUTH = ("False", "True")
"""The names of the classes of a target of truth values."""
INTEGER = re.compile(r"-?\d{1,18}")
"""The name of a class that is a whole number."""
CLIP = 3.0
"""Smooth clipping keeps scaled values between −3 and 3 (Holzmüller, Grinsztajn, Steinwart 2024)."""


@dataclass(frozen=True)
class Scaling:
    """How raw numbers become inputs of the network. Each array has one value for each feature.

    First, ``fill`` replaces missing values. Then x = (raw − shift) / scale. Where ``clip`` is true, x then
    becomes x / √(1 + (x / 3)²). A feature of categories has shift 0 and scale 1. An array that is not used is
    ``None``.
    """

    fill: Array | None = None
    shift: Array | None = None
    scale: Array | None = None
    clip: NDArray[np.bool_] | None = None

    def __call__(self, raw: Array) -> Array:
        x = _filled(raw, self.fill)
        if self.shift is not None and self.scale is not None:
            x = x - self.shift
            np.divide(x, self.scale, x)  # in place: a table may fill half of the memory
        if self.clip is not None:
            x = np.where(self.clip, x / np.sqrt(1 + (x / CLIP) ** 2), x)
        return x


def center_and_spread(x: Array, weights: Array | None) -> tuple[Array, Array]:
    """Mean and standard deviation of every column. If all values are equal, the deviation is set to 1.

    Args:
        x: ``(rows, columns)``, without missing values.
        weights: a row of weight 2 counts like two rows; ``None``: all rows count the same.
    """
    if weights is None:
        means = x.mean(0, np.float64, keepdims=True)
        center, spread = means[0], x.std(0, np.float64, mean=means)
    else:
        center = np.average(x, 0, weights)
        spread = np.sqrt(np.average((x - center) ** 2, 0, weights))
    spread[spread <= CONSTANT * np.abs(center)] = 1
    return center, spread


def known_means(x: Array, gaps: NDArray[np.bool_], weights: Array | None) -> Array:
    """The mean of every column's values that are not missing; 0 for a column without values.

    Args:
        x: ``(rows, columns)``.
        gaps: where ``x`` has missing values.
        weights: a row of weight 2 counts like two rows; ``None``: all rows count the same.
    """
    counts = ~gaps if weights is None else ~gaps * weights[:, None]
    total = counts.sum(0)
    means: Array = (np.where(gaps, 0, x) * counts).sum(0, np.float64) / np.where(total > 0, total, 1)
    return means


def fit_scaling(
    how: str, raw: Array, fixed: NDArray[np.bool_], fill: Array | None, weights: Array | None = None
) -> Scaling:
    """Choose the scaling from the raw training rows ``(rows, features)``.

    Args:
        how: "none"; "standard": mean 0 and standard deviation 1; "robust": median 0 and interquartile range
            1, smoothly clipped.
        raw: the training rows; NaN is a missing value.
        fixed: the features that are never scaled, because they stand for categories.
        fill: replaces missing values.
        weights: a row of weight 2 counts like two rows; ``None``: all rows count the same.
    """
    if how == "none":
        return Scaling(fill)
    x = _filled(raw, fill)
    if how == "standard":
        shift, scale = center_and_spread(x, weights)
    else:
        low, shift, high = _quartiles(x.astype(np.float64), weights)
        scale = high - low
        whole = x.max(0).astype(np.float64) - x.min(0)
        # if half of the values are equal, the interquartile range is 0: half of the range replaces it
        scale = np.where(scale > CONSTANT * np.abs(shift), scale, whole / 2)
        scale[scale <= CONSTANT * np.abs(shift)] = 1
    shift[fixed], scale[fixed] = 0, 1
    return Scaling(fill, shift, scale, ~fixed if how == "robust" else None)


def _quartiles(x: Array, weights: Array | None) -> Array:
    shares = (0.25, 0.5, 0.75)
    quartiles: Array
    if weights is None:
        quartiles = np.quantile(x, shares, axis=0)
    else:  # inverted_cdf is the only method for which NumPy supports weights
        quartiles = np.quantile(x, shares, axis=0, method="inverted_cdf", weights=weights)
    return quartiles


def _filled(raw: Array, fill: Array | None) -> Array:
    """Replace missing values. Without missing values, the result is ``raw`` itself, in its own type."""
    if fill is None or not (gaps := np.isnan(raw)).any():
        return raw
    return np.where(gaps, fill, raw)


@dataclass(frozen=True)
class Target:
    """What is predicted, in the user's words.

    Args:
        names: the names of the target columns; empty if they have no names.
        class_names: the names of the classes; empty if values are predicted.
        integer: whether the names of the classes are whole numbers.
        shift, scale: the network's output stands for (value − shift) / scale; ``None``: for the value itself.
    """

    names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    integer: bool = False
    shift: Array | None = None
    scale: Array | None = None

    def scaled(self, y: Array) -> Array:
        """The network's targets for ``y``. Class numbers stay as they are."""
        return y if self.shift is None or y.ndim == 1 else (y - self.shift) / self.scale

    def unscaled(self, y: Array) -> Array:
        """The inverse of ``scaled``, for targets and for predicted values. Probabilities stay as they are."""
        return y if self.shift is None or y.ndim == 1 else y * self.scale + self.shift

    def labels(self, numbers: NDArray[np.intp]) -> Array:
        """The classes with these numbers, as the user's table writes them."""
        if self.class_names == TRUTH:
            return numbers.astype(bool)
        names = np.array([int(name) for name in self.class_names] if self.integer else self.class_names)
        labels: Array = names[numbers]
        return labels

    def read(self, y: Any) -> Array:
        """Convert targets from the user's table to unscaled numbers for the network; reverses ``labels``.

        Args:
            y: for a classification, labels ``(rows,)``; else numbers ``(rows,)`` or ``(rows, outputs)``.

        Returns:
            Class numbers ``(rows,)``, or numbers ``(rows, outputs)``.

        Raises:
            UsageError: a label is no class of the model, a value is missing, or is no number.
        """
        y = np.asarray(y)
        if not self.class_names or (y.ndim == 2 and y.shape[1] > 1):
            try:
                values: Array = y.reshape(len(y), -1).astype(np.float64)
            except (TypeError, ValueError) as error:
                raise UsageError(f"the targets must be numbers: {error}") from error
            if not np.isfinite(values).all():
                raise UsageError("the targets have missing or infinite values; leave out these rows")
            return values
        numbers = self.numbers(y.reshape(-1))
        if (numbers < 0).any():
            raise UsageError("the targets have missing labels; leave out these rows")
        return numbers

    def numbers(self, labels: Any) -> NDArray[np.intp]:
        """The inverse of ``labels``: the numbers of classes; a missing label is −1.

        Raises:
            UsageError: a class that the training rows do not have.
        """
        import pandas as pd

        codes, values = pd.factorize(pd.Series(labels).astype(object))
        names = [category_name(value) for value in values]
        for name in names:
            if name not in self.class_names:
                raise UsageError(f"{name!r} is not a class of the model; {nearest(name, self.class_names)}")
        positions = np.array([*(self.class_names.index(name) for name in names), -1], np.intp)
        return positions[codes]  # code −1 (a missing label) selects the last position


class Encoder:
    """Turns rows of a data frame, or of an array, into inputs of the network.

    An encoder is fitted on the training rows only. It is part of the model file, so every later prediction
    uses it.

    Args:
        columns: the columns of the data frame, in its order; ``None`` if the inputs are an array.
        names: the names of an array's features; empty if they have none.
        encoding: how categories become inputs: "one_hot" (a column of 0 and 1 for each category) or "codes"
            (their numbers from 0, for the layer embedding).
        indicators: the positions of the features that get an additional input: 1 where the feature's value is
            missing, else 0.
        scaling: fills in missing values and scales numbers.
        target: what is predicted.
    """

    def __init__(
        self,
        columns: tuple[Column, ...] | None = None,
        *,
        names: tuple[str, ...] = (),
        encoding: str = "one_hot",
        indicators: tuple[int, ...] = (),
        scaling: Scaling | None = None,
        target: Target | None = None,
    ) -> None:
        self.columns, self.names, self.encoding, self.indicators = columns, names, encoding, indicators
        self.scaling, self.target = scaling or Scaling(), target or Target()
        self.features = tuple(feature for column in columns or () for feature in column.features)

    @classmethod
    def fit_frame(
        cls,
        frame: pd.DataFrame,
        rules: ColumnRules,
        *,
        scaling: str,
        indicate: bool,
        target: Target,
        weights: Array | None = None,
    ) -> Encoder:
        """Fit an encoder to the training rows of a data frame, which may have missing values.

        Args:
            frame: the training rows of the input columns.
            rules: what the user says about the columns.
            scaling: how numbers are scaled: "none", "standard" or "robust".
            indicate: whether a feature with missing values gets an additional input: 1 where the value is
                missing, else 0.
            target: what is predicted.
            weights: the rows' weights; a row of weight 2 counts like two rows in means and spreads.

        Raises:
            UsageError: all columns are left out, or a column holds other values than numbers, text and dates.
        """
        columns = tuple(understand(frame[name], name, rules) for name in frame.columns)
        encoder = cls(columns, encoding=rules.encoding, target=target)
        if not encoder.features:
            reasons = "; ".join(f"{c.name} {c.reason}" for c in columns if isinstance(c, LeftOut))
            raise UsageError(
                f"no column is left for inputs: {reasons}.\n"
                "dataset.keep=[<column>] uses a column all the same."
            )
        raw = encoder.raw(frame)
        gaps = np.isnan(raw)
        fill = known_means(raw, gaps, weights)
        fixed = np.array([feature.categories is not None for feature in encoder.features])
        encoder.indicators = tuple(np.flatnonzero(gaps.any(0)).tolist()) if indicate else ()
        encoder.scaling = fit_scaling(scaling, raw, fixed, fill, weights)
        return encoder

    @classmethod
    def fit_array(
        cls,
        x: Array,
        *,
        names: tuple[str, ...],
        fixed: tuple[int, ...],
        scaling: str,
        fill: Array | None,
        indicate: bool,
        target: Target,
        weights: Array | None = None,
    ) -> Encoder:
        """Fit an encoder to training rows that are an array already.

        Args:
            x: the training inputs ``(rows, features)``.
            names: the names of the features; empty if they have none.
            fixed: the positions of the features that are never scaled.
            scaling: how numbers are scaled: "none", "standard" or "robust".
            fill: replaces missing values; ``None`` if none are missing.
            indicate: whether a feature with missing values gets an additional input: 1 where the value is
                missing, else 0.
            target: what is predicted.
            weights: the rows' weights; a row of weight 2 counts like two rows in means and spreads.
        """
        gaps = np.isnan(x).any(0) if indicate else np.zeros(x.shape[1], bool)
        is_fixed = np.zeros(x.shape[1], bool)
        is_fixed[list(fixed)] = True
        return cls(
            names=names,
            indicators=tuple(np.flatnonzero(gaps).tolist()),
            scaling=fit_scaling(scaling, x, is_fixed, fill, weights),
            target=target,
        )

    # inputs -------------------------------------------------------------------------------------

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The name of every input of the network; empty if the inputs have no names."""
        if self.columns is None:
            return (*self.names, *(f"{self.names[i]} is missing" for i in self.indicators if self.names))
        names: list[str] = []
        for feature in self.features:
            if feature.categories is None or self.encoding == "codes":
                names.append(feature.name)
            else:
                names += [f"{feature.name}={category}" for category in _shown(feature)]
        return (*names, *(f"{self.features[i].name} is missing" for i in self.indicators))

    @property
    def widths(self) -> list[int]:
        """For each feature, the number of its one-hot inputs; 0: the feature's number is its only input."""
        return [
            0 if feature.categories is None or self.encoding == "codes" else self._width(feature)
            for feature in self.features
        ]

    @property
    def categorical(self) -> tuple[int, ...]:
        """The positions of the inputs that stand for categories."""
        positions: list[int] = []
        position = 0
        for feature in self.features:
            width = self._width(feature)
            if feature.categories is not None:
                positions += range(position, position + width)
            position += width
        return (*positions, *range(position, position + len(self.indicators)))

    @property
    def code_names(self) -> dict[str, tuple[str, ...]]:
        """The names of the categories of every input that holds category numbers.

        A category that the training rows do not have has the number after the last.
        """
        if self.encoding != "codes":
            return {}
        return {f.name: _shown(f) for f in self.features if f.categories is not None}

    def inputs(self, x: Any) -> Array:
        """The network's inputs ``(rows, inputs)`` for a data frame or an array.

        Raises:
            UsageError: a column is missing, or holds something else than in training.
        """
        raw = self.raw(x)
        scaled = self.scaling(raw)
        if self.columns is None:
            return np.hstack([scaled, np.isnan(raw[:, self.indicators])]) if self.indicators else scaled
        columns: list[Array] = []
        for position, feature in enumerate(self.features):
            if feature.categories is None or self.encoding == "codes":
                columns.append(scaled[:, position])
            else:
                columns += [raw[:, position] == code for code in range(self._width(feature))]
        columns += [np.isnan(raw[:, position]) for position in self.indicators]
        whole = np.empty((len(raw), len(columns)))
        for position, values in enumerate(columns):
            whole[:, position] = values
        return whole

    def raw(self, x: Any) -> Array:
        """The numbers of a data frame or an array before they are scaled; NaN is a missing value."""
        if self.columns is None:
            return np.asarray(x)
        used = [column for column in self.columns if not isinstance(column, LeftOut)]
        if not hasattr(x, "columns"):
            x = self._framed(np.asarray(x), [column.name for column in used])
        blocks = []
        for column in used:
            if column.name not in x.columns:
                raise UsageError(
                    f"the table has no column {column.name!r}, which the model needs; "
                    f"{nearest(column.name, list(map(str, x.columns)))}"
                )
            blocks.append(column.read(x[column.name]))
        return np.concatenate(blocks, axis=1)

    def extra(self, frame: pd.DataFrame) -> list[str]:
        """The columns of a data frame that the model does not know."""
        known = {*(column.name for column in self.columns or ()), *self.target.names}
        return [name for name in map(str, frame.columns) if name not in known]

    def _framed(self, array: Array, names: list[str]) -> pd.DataFrame:
        import pandas as pd

        if array.ndim != 2 or array.shape[1] != len(names):
            raise UsageError(
                f"the model takes a table with the columns {', '.join(names)}, "
                f"not an array of shape {array.shape}"
            )
        return pd.DataFrame(array, columns=names)

    def _width(self, feature: Feature) -> int:
        return 1 if feature.categories is None or self.encoding == "codes" else len(_shown(feature))

    # the model file -----------------------------------------------------------------------------

    def check(self, shapes: Shapes) -> None:
        """Refuse an encoder, read from a file, that does not make these inputs and outputs.

        Raises:
            UsageError: numbers of inputs, features, classes or targets do not belong together.
        """
        features = shapes.inputs - len(self.indicators)
        if self.columns is not None:
            features = len(self.features)
            inputs = sum(max(1, width) for width in self.widths) + len(self.indicators)
            if inputs != shapes.inputs:
                raise UsageError(f"its columns make {inputs:,} inputs, not {shapes.inputs:,}")
        elif self.names and len(self.names) != features:
            raise UsageError(f"it names {len(self.names):,} inputs of {features:,}")
        if features < 1 or any(not 0 <= position < features for position in self.indicators):
            raise UsageError(f"its missing values are in inputs {list(self.indicators)} of {features:,}")
        for name in ("fill", "shift", "scale", "clip"):
            _check(f"input/{name}", getattr(self.scaling, name), features)
        target = self.target
        for name in ("shift", "scale"):
            _check(f"target/{name}", getattr(target, name), shapes.outputs)
        if (target.shift is None) != (target.scale is None):
            raise UsageError("its target has a shift or a scale, but not both")
        if len(target.class_names) != (0 if shapes.task == "regression" else shapes.outputs):
            raise UsageError(
                f"it has {len(target.class_names)} names of classes and {shapes.outputs} outputs"
            )
        most = {"classification": 1, "multilabel": shapes.outputs, "regression": shapes.outputs}[shapes.task]
        if len(target.names) not in (0, most):
            raise UsageError(f"it has {len(target.names)} targets; expected {most}")
        if target.integer and not all(INTEGER.fullmatch(name) for name in target.class_names):
            raise UsageError("the names of its classes are no whole numbers")

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """The encoder as arrays and plain values, for the model file."""
        found = {
            **{f"input/{name}": getattr(self.scaling, name) for name in ("fill", "shift", "scale", "clip")},
            **{f"target/{name}": getattr(self.target, name) for name in ("shift", "scale")},
        }
        about = {
            "columns": self.columns and [{"kind": c.kind, **asdict(c)} for c in self.columns],
            "names": self.names,
            "encoding": self.encoding,
            "indicators": self.indicators,
            "target": {key: getattr(self.target, key) for key in ("names", "class_names", "integer")},
        }
        return {name: array for name, array in found.items() if array is not None}, about

    @classmethod
    def from_state(cls, arrays: Mapping[str, Array], about: Mapping[str, Any]) -> Encoder:
        """The encoder that ``state`` describes."""
        columns = about["columns"]
        read: Callable[[str], Array | None] = arrays.get
        target = about["target"]
        return cls(
            None if columns is None else tuple(map(from_about, columns)),
            names=tuple(about["names"]),
            encoding=about["encoding"],
            indicators=tuple(about["indicators"]),
            scaling=Scaling(*(read(f"input/{name}") for name in ("fill", "shift", "scale", "clip"))),
            target=Target(
                tuple(target["names"]),
                tuple(target["class_names"]),
                target["integer"],
                read("target/shift"),
                read("target/scale"),
            ),
        )


def _check(name: str, array: Array | None, count: int) -> None:
    """Raise ``UsageError`` if an array of an encoder does not have a finite number for each of ``count``."""
    if array is None:
        return
    if array.shape != (count,) or array.dtype.kind not in "bf" or not np.isfinite(array).all():
        raise UsageError(f"its array {name!r} has not one finite number for each of {count}")


def _shown(feature: Feature) -> tuple[str, ...]:
    """The categories of a feature that have an input of their own."""
    assert feature.categories is not None
    return (*feature.categories, OTHER) if feature.other else feature.categories
