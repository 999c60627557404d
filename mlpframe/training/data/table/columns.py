"""The columns of a data frame: what each column holds, and how its values become numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ....api import ColumnRules, UsageError
from ...checkpoint import check_values

if TYPE_CHECKING:
    import pandas as pd

MISSING = "missing"
"""The name of the category of missing values, if a column of categories lacks values in training rows."""
OTHER = "other"
"""The name of the category of rare values, and of values that the training rows do not have."""
FEW = 20
"""A text column with at most this many different texts holds categories, however few rows the table has."""
FORMATS = ("ISO8601", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y")
"""How dates may be written in a text column. The first format that fits every value is used."""
LIKE_A_DATE = re.compile(r"\s*\d{1,4}[-./]\d{1,2}[-./]\d{1,4}(\D.*)?$")
LIKE_AN_IDENTIFIER = re.compile(
    r"(.*[^a-zA-Z])?(id|ID|Id|index|rownames|Unnamed: 0)|.*[a-z]I[dD]|[iI][dD]_.*"
)
DAY = 86_400
KINDS = {
    "string": "text",
    "categorical": "text",
    "boolean": "number",
    "integer": "number",
    "floating": "number",
    "mixed-integer-float": "number",
    "decimal": "number",
    "empty": "number",
    "datetime64": "date",
    "datetime": "date",
    "date": "date",
}
"""What a column holds, by the type that pandas infers."""


@dataclass(frozen=True)
class Feature:
    """A value that the network gets from a column: a number, or the position of a category in ``categories``.

    The position ``len(categories)`` stands for every value that is not in ``categories``. ``other`` says
    whether the training rows have such values.
    """

    name: str
    categories: tuple[str, ...] | None = None
    other: bool = False


@dataclass(frozen=True)
class Number:
    """A column of numbers; true is 1, false is 0, a missing value is NaN."""

    kind: ClassVar[str] = "number"
    name: str

    @property
    def features(self) -> tuple[Feature, ...]:
        return (Feature(self.name),)

    def read(self, values: pd.Series) -> NDArray[np.float64]:
        """The numbers, as ``(rows, 1)``."""
        return numbers(values, self.name)[:, None]


@dataclass(frozen=True)
class Category:
    """A column of categories. ``other`` says whether training rows have values that are not in ``values``."""

    kind: ClassVar[str] = "category"
    name: str
    values: tuple[str, ...]
    other: bool

    @classmethod
    def fit(cls, column: pd.Series, name: str, most: int) -> Category:
        """Collect the categories of a column; if there are more than ``most``, the most frequent ones."""
        import pandas as pd

        codes, values = pd.factorize(column.astype(object), sort=True)
        names = [category_name(value) for value in values]
        if (codes < 0).any():
            if MISSING not in names:
                names.append(MISSING)
            codes = np.where(codes < 0, names.index(MISSING), codes)
        if len(names) <= most:
            return cls(name, tuple(names), other=False)
        frequent = np.sort(np.argsort(-np.bincount(codes), kind="stable")[:most])
        return cls(name, tuple(names[code] for code in frequent), other=True)

    @property
    def features(self) -> tuple[Feature, ...]:
        return (Feature(self.name, self.values, self.other),)

    def read(self, values: pd.Series) -> NDArray[np.float64]:
        """The position of every row's category, as ``(rows, 1)``."""
        import pandas as pd

        position = {name: number for number, name in enumerate(self.values)}
        codes, different = pd.factorize(values.astype(object))
        names = [*map(category_name, different), MISSING]  # code −1 (a missing value) selects the last name
        positions = np.array([position.get(name, len(self.values)) for name in names], np.float64)
        return positions[codes][:, None]


@dataclass(frozen=True)
class Date:
    """A column of dates. The network gets the parts of a date (year, …) that differ among the training rows.

    Args:
        name: the column's name.
        format: how a date is written, in the notation of ``strptime`` or ``"ISO8601"``.
        first: the first date of the training rows, in seconds since 1970.
        parts: some of ``year``, ``month``, ``weekday`` (Monday is 0), ``hour`` and ``days``, the number of
            days since ``first``.
    """

    kind: ClassVar[str] = "date"
    PARTS: ClassVar[tuple[str, ...]] = ("year", "month", "weekday", "hour", "days")
    CATEGORIES: ClassVar[dict[str, tuple[str, ...]]] = {
        "month": tuple(map(str, range(1, 13))),
        "weekday": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    }
    name: str
    format: str
    first: float
    parts: tuple[str, ...]

    @classmethod
    def fit(cls, column: pd.Series, name: str, form: str) -> Date | LeftOut:
        seconds = cls(name, form, 0.0, ()).seconds(column)
        first = float(np.nanmin(seconds))
        whole = cls(name, form, first, cls.PARTS).read(column)
        parts = [part for part, values in zip(cls.PARTS, whole.T, strict=True) if _differ(values)]
        return cls(name, form, first, tuple(parts)) if parts else LeftOut(name, "has one value only")

    @property
    def features(self) -> tuple[Feature, ...]:
        return tuple(Feature(f"{self.name} {part}", self.CATEGORIES.get(part)) for part in self.parts)

    def seconds(self, values: pd.Series) -> NDArray[np.float64]:
        """The dates in seconds since 1970, universal time; a missing date is NaN."""
        import pandas as pd

        try:
            dates = pd.to_datetime(values, format=self.format if _is_text(values) else None, utc=True)
        except (ValueError, TypeError, OverflowError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"the column {self.name} must be dates ({self.format}): {reason}") from error
        whole = dates.astype("datetime64[s, UTC]").astype("int64").to_numpy(np.float64)
        return np.where(dates.isna(), np.nan, whole)

    def read(self, values: pd.Series) -> NDArray[np.float64]:
        """The date's parts, as ``(rows, parts)``; months and weekdays as positions from 0."""
        seconds = self.seconds(values)
        missing = np.isnan(seconds)
        moments = np.where(missing, 0, seconds).astype("datetime64[s]")
        days, months = moments.astype("datetime64[D]"), moments.astype("datetime64[M]")
        parts = {
            "year": moments.astype("datetime64[Y]").astype(int) + 1970,
            "month": months.astype(int) % 12,
            "weekday": (days.astype(int) + 3) % 7,  # 1970 began on a Thursday
            "hour": (moments - days).astype(int) / 3600,
            "days": (seconds - self.first) / DAY,
        }
        table = np.empty((len(seconds), len(self.parts)))
        for position, part in enumerate(self.parts):
            categories = self.CATEGORIES.get(part)
            table[:, position] = np.where(missing, len(categories) if categories else np.nan, parts[part])
        return table


@dataclass(frozen=True)
class LeftOut:
    """A column that the network does not see, and why."""

    kind: ClassVar[str] = "left out"
    name: str
    reason: str
    features: ClassVar[tuple[Feature, ...]] = ()


Column = Number | Category | Date | LeftOut


def understand(column: pd.Series, name: str, rules: ColumnRules) -> Column:
    """Decide what a column holds, from its values in the training rows."""
    holds = _holds(column, name, rules)
    known = column.dropna()
    if not len(known):
        return LeftOut(name, "has no value in the training rows")
    if name in rules.dates or holds == "date":
        return Date.fit(column, name, _date_format(known) or FORMATS[0])
    if holds == "text" and name not in rules.categorical:
        form = _date_format(known)
        if form is not None:
            return Date.fit(column, name, form)
    if known.nunique() == 1 and name not in rules.keep:
        return LeftOut(name, "has one value only")
    if holds == "text" or name in rules.categorical:
        different = known.nunique()
        if different > max(FEW, len(column) / 2) and name not in {*rules.categorical, *rules.keep}:
            return LeftOut(name, f"looks like an identifier: {different:,} texts in {len(column):,} rows")
        return Category.fit(column, name, rules.max_categories)
    values = numbers(column, name)
    if name not in rules.keep and _is_identifier(values, name):
        return LeftOut(name, "looks like an identifier: a different whole number in every row")
    return Number(name)


KEYS: dict[object, dict[str, Any]] = {
    Number.kind: {"name": str},
    Category.kind: {"name": str, "values": [str], "other": bool},
    Date.kind: {"name": str, "format": set(FORMATS), "first": float, "parts": [set(Date.PARTS)]},
    LeftOut.kind: {"name": str, "reason": str},
}
"""How a model file describes a column of each kind, see ``check_values``."""


def from_about(about: dict[str, Any]) -> Column:
    """A column as its ``about``, which is read from a file, describes it. Raises ``UsageError``."""
    kind = about.get("kind")
    if not isinstance(kind, str) or kind not in KEYS or about.keys() != {"kind", *KEYS[kind]}:
        raise UsageError(f"it has a column {str(about)[:80]}")
    check_values(f"the column {str(about['name'])[:40]}", about, KEYS[kind])
    options: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in about.items()
        if key != "kind"
    }
    kinds: dict[str, type[Column]] = {kind.kind: kind for kind in (Number, Category, Date, LeftOut)}
    return kinds[kind](**options)


def numbers(column: pd.Series, name: str) -> NDArray[np.float64]:
    """A column's numbers; a missing value is NaN, true is 1, false is 0."""
    import pandas as pd

    if _holds(column, name) != "number":
        converted = pd.to_numeric(column, errors="coerce") if _is_text(column) else pd.Series(dtype=float)
        wrong = column[converted.isna() & column.notna()] if len(converted) else column
        if len(wrong):
            raise UsageError(f"the column {name} must be numbers, and has {wrong.iloc[0]!r}")
        column = converted
    try:
        values: NDArray[np.float64] = column.to_numpy(np.float64, na_value=np.nan)
    except OverflowError as error:  # a whole number of more than 308 digits
        raise UsageError(f"the column {name} has numbers that are too large: {error}") from error
    if np.isinf(values).any():
        raise UsageError(f"the column {name} has infinite values")
    return values


def categories(column: pd.Series) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """The number of every row's class, and the names of the classes, sorted by value."""
    import pandas as pd

    codes, values = pd.factorize(column.astype(object), sort=True)
    return codes.astype(np.intp), tuple(map(category_name, values))


def category_name(value: object) -> str:
    """The name of a category: a whole number without a decimal point, any other value as text."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else str(value)  # type: ignore[call-overload]


def _holds(column: pd.Series, name: str, rules: ColumnRules | None = None) -> str:
    """What a column holds: text, number or date. Raises ``UsageError`` for other values, such as lists."""
    import pandas as pd

    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred in KINDS:
        return KINDS[inferred]
    if rules is not None and name in rules.categorical:
        return "text"
    raise UsageError(
        f"the column {name} is of the type {inferred}; expected numbers, text, dates, or true and false.\n"
        "Name the column in dataset.ignore, or in dataset.categorical if its values are categories."
    )


def _is_text(column: pd.Series) -> bool:
    import pandas as pd

    return pd.api.types.infer_dtype(column, skipna=True) in ("string", "categorical")


def _date_format(known: pd.Series) -> str | None:
    """How the dates of a text column are written; ``None`` if the texts are not dates."""
    import pandas as pd

    if not _is_text(known):
        return None
    texts: Sequence[str] = known.astype(str).unique().tolist()
    if not all(LIKE_A_DATE.match(text) for text in texts):
        return None
    for form in FORMATS:
        if not pd.to_datetime(pd.Series(texts), format=form, errors="coerce", utc=True).isna().any():
            return form
    return None


def _differ(values: NDArray[np.float64]) -> bool:
    known = values[~np.isnan(values)]
    return bool((known != known[0]).any())


def _is_identifier(values: NDArray[np.float64], name: str) -> bool:
    """Whether the values of a column only identify the rows.

    Then the values are different whole numbers, and the column has a name like ``id`` or counts the rows.
    """
    if np.isnan(values).any() or len(values) <= FEW or (values != np.round(values)).any():
        return False
    if len(np.unique(values)) < len(values):
        return False
    counted = (np.diff(values) > 0).all() and values[0] >= 0 and values[-1] <= 2 * len(values)
    return bool(counted or LIKE_AN_IDENTIFIER.fullmatch(name))
