"""Tell users how mlpframe reads their data: in a few lines on the terminal, and on a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....api import FrameFile, Splits, Table
from ....api.component import Task
from .columns import Category, Column, Date, LeftOut, Number
from .encoder import Encoder

WIDTH = 110
"""The longest line on a terminal, in characters."""
LABEL = 10
"""The width of the label at the beginning of every line, in characters."""
FILLED = {
    "impute": "filled: numbers with the mean of the training rows, categories with the category missing",
    "indicate": "filled, and an input for each such column says which values were missing",
}
"""What a line says about the treatment of missing values, by the value of the option ``missing``."""


@dataclass(frozen=True)
class Values:
    """The values of one target in the training rows."""

    mean: float
    deviation: float
    least: float
    greatest: float

    def __str__(self) -> str:
        mean, deviation, least, greatest = map(
            _number, (self.mean, self.deviation, self.least, self.greatest)
        )
        return f"mean {mean}, standard deviation {deviation}, from {least} to {greatest}"


@dataclass(frozen=True)
class Summary:
    """How a run reads its data: the facts that are shown to the user.

    Args:
        name: the data set's name.
        parts: the number of rows of each part, by what the part is for (such as "for training").
        task, reason: what is predicted, and the property of the data that decides the task.
        targets: the names of the targets.
        classes: for every class, the number of training rows; empty for a regression.
        values: for every target of a regression, the mean, deviation and range of the training rows' values.
        scaled: whether the target is scaled for training.
        columns: the columns of a data frame; ``None`` if the inputs are an array.
        inputs: the number of the network's inputs.
        image: height and width, if a row is an image.
        left_out: the columns that are not used, and why.
        missing: the number of missing values by column, in all rows that are used.
        treatment: what happens to missing values, an option of ``Preparation``.
        notes: sentences about what was read.
    """

    name: str
    parts: Mapping[str, int]
    task: Task
    reason: str
    targets: tuple[str, ...]
    classes: Mapping[str, int]
    values: Mapping[str, Values]
    scaled: bool
    columns: tuple[Column, ...] | None
    inputs: int
    image: tuple[int, int] | None
    left_out: Mapping[str, str]
    missing: Mapping[str, int]
    treatment: str
    notes: tuple[str, ...]

    def lines(self, width: int = WIDTH) -> list[str]:
        """At most six lines. A list of names within a line is cut after ``width`` characters."""
        facts = {
            "rows": self._rows(),
            "task": self._task(),
            **self._target(width),
            "columns": self._columns(width),
            "left out": _listed(self._omitted(), width),
            "missing": self._missing(width),
        }
        return [f"{label:{LABEL}}{text}" for label, text in facts.items() if text]

    def page(self) -> str:
        """All facts, as a Markdown page."""
        facts = [(line[:LABEL].rstrip(), line[LABEL:]) for line in self.lines(width=1 << 30)]
        parts = [f"# What was understood of {self.name}", ""]
        parts += [f"- **{label}**: {text}" for label, text in facts]
        if self.columns is not None:
            parts += ["", "| column | kind | inputs | missing values |", "|---|---|---|---|"]
            parts += [self._row(column) for column in self.columns]
        return "\n".join([*parts, ""])

    def _row(self, column: Column) -> str:
        match column:
            case Category():
                holds = _listed([*column.values, *(["other"] if column.other else [])], WIDTH)
            case Date():
                holds = ", ".join(column.parts)
            case LeftOut():
                holds = column.reason
            case Number():
                holds = ""
        cells = (column.name, column.kind, holds, f"{self.missing.get(column.name, 0):,}")
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    def _rows(self) -> str:
        parts = ", ".join(f"{rows:,} {part}" for part, rows in self.parts.items() if rows)
        return "; ".join([f"{sum(self.parts.values()):,}: {parts}", *self.notes])

    def _task(self) -> str:
        several = "multilabel, a row may have several classes" if self.task == "multilabel" else self.task
        of = f" of {_listed(self.targets, WIDTH // 2)}" if self.targets and self.task != "multilabel" else ""
        return f"{several}{of}" + (f": {self.reason}" if self.reason else "")

    def _target(self, width: int) -> dict[str, str]:
        """A line about the targets of the training rows: the label of the line, and its text."""
        if self.classes:
            return {"classes": _listed([f"{name} {rows:,}" for name, rows in self.classes.items()], width)}
        named = len(self.values) > 1
        texts = [f"{name}: {values}" if named else str(values) for name, values in self.values.items()]
        return {"target": _listed(texts, width, "; ") + ("; scaled for training" if self.scaled else "")}

    def _columns(self, width: int) -> str:
        inputs = f"{self.inputs:,} input{'s' * (self.inputs != 1)}"
        if self.columns is None:
            return f"images of {self.image[0]} × {self.image[1]}" if self.image else inputs
        names: dict[str, list[str]] = {"number": [], "category": [], "date": []}
        for column in self.columns:
            if isinstance(column, Category):
                names["category"].append(f"{column.name} {len(column.values) + column.other}")
            elif not isinstance(column, LeftOut):
                names[column.kind].append(column.name)
        plural = {"number": "numbers", "category": "categories", "date": "dates"}
        counts = [
            f"{len(each):,} {kind if len(each) == 1 else plural[kind]} ({_listed(each, width // 4)})"
            for kind, each in names.items()
            if each
        ]
        return f"{', '.join(counts)}; {inputs}"

    def _omitted(self) -> list[str]:
        return [f"{name} ({reason})" for name, reason in self.left_out.items()]

    def _missing(self, width: int) -> str:
        if not self.missing:
            return ""
        counts = _listed([f"{name} {count:,}" for name, count in self.missing.items()], width // 2)
        treatment = FILLED.get(self.treatment, "")
        return f"{counts}; {treatment}" if treatment else counts


def summarize(
    name: str,
    splits: Splits,
    parts: Mapping[str, Table | None],
    unused: Mapping[str, int],
    encoder: Encoder,
    treatment: str,
) -> Summary:
    """Collect the facts about data before the data are encoded.

    Args:
        name: the data set's name.
        splits: the data as loaded.
        parts: the rows of each part before they are encoded, by what the part is for (such as "for
            training"); ``None`` for a part that the run does not have. The first part is the training part.
        unused: the number of rows that the run does not use, by the reason.
        encoder: the encoder of the run.
        treatment: what happens to missing values, as in ``Preparation``.
    """
    used = {label: table for label, table in parts.items() if table is not None}
    train = next(iter(used.values()))
    columns = encoder.columns
    omitted = [column for column in columns or () if isinstance(column, LeftOut)]
    return Summary(
        name=name,
        parts={**{label: len(table) for label, table in used.items()}, **unused},
        task=splits.task,
        reason=splits.task_reason,
        targets=splits.target_names,
        classes=_class_counts(train, splits.class_names),
        values=_values(train, splits),
        scaled=encoder.target.shift is not None,
        columns=columns,
        inputs=len(encoder.feature_names) or train.x.shape[1] + len(encoder.indicators),
        image=splits.image_shape,
        left_out={
            **{column.name: column.reason for column in omitted},
            **dict.fromkeys(splits.ignored, "dataset.ignore"),
        },
        missing=dict(_missing_counts(list(used.values()), splits)),
        treatment=treatment,
        notes=splits.notes,
    )


def _class_counts(train: Table, names: Sequence[str]) -> dict[str, int]:
    if not names:
        return {}
    counts = train.y.sum(0) if train.y.ndim == 2 else np.bincount(train.y, minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=True)}


def _values(train: Table, splits: Splits) -> dict[str, Values]:
    if splits.class_names:
        return {}
    y = train.y.astype(np.float64)
    names = splits.target_names or [f"target {number}" for number in range(y.shape[1])]
    each = zip(y.mean(0), y.std(0), y.min(0), y.max(0), strict=True)
    return {name: Values(*map(float, numbers)) for name, numbers in zip(names, each, strict=True)}


def _missing_counts(tables: Sequence[Table], splits: Splits) -> Iterator[tuple[str, int]]:
    """Names of columns and their numbers of missing values. A file that stays on the disk is not searched."""
    if any(table.mapping is not None or isinstance(table.x, FrameFile) for table in tables):
        return
    first: Any = tables[0].x
    names = splits.feature_names or [f"input {number}" for number in range(first.shape[1])]
    counts = np.zeros(first.shape[1], np.intp)
    for table in tables:
        x: Any = table.x
        counts += x.isna().to_numpy().sum(0) if splits.columns is not None else np.isnan(x).sum(0)
    if splits.columns is not None:
        names = list(map(str, first.columns))
    yield from ((name, int(count)) for name, count in zip(names, counts, strict=True) if count)


def _listed(items: Sequence[str], width: int, between: str = ", ") -> str:
    """The items that fit into ``width`` characters, at least one, and how many more there are."""
    shown = list(items[:1])
    length = sum(map(len, shown))
    for item in items[1:]:
        length += len(between) + len(item)
        if length > width:
            return f"{between.join(shown)} and {len(items) - len(shown):,} more"
        shown.append(item)
    return between.join(shown)


def _number(value: float) -> str:
    """Write a number with four digits, and with all digits before the decimal point."""
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e12 else f"{value:.4g}"
