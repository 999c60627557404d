"""The parts of a page: sections with paragraphs, tables, figures and derivations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import ClassVar

from .derivations import Derivation


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    kind: ClassVar[str] = "words"
    text: str


@dataclass(frozen=True)
class Tolerance:
    """How far a measured number may be from the printed number.

    Args:
        most: the largest deviation allowed.
        relative: whether ``most`` is a fraction of the printed number.
    """

    most: float
    relative: bool = True

    def agrees(self, printed: float, measured: float) -> bool:
        return abs(measured - printed) <= self.most * (abs(printed) if self.relative else 1) + 1e-12

    def deviation(self, printed: float, measured: float) -> str:
        if self.relative:
            return f"{(measured / printed - 1) * 100:+z.0f} %"
        return f"{measured - printed:+z.4f}"

    def __str__(self) -> str:
        return f"±{self.most * 100:g} %" if self.relative else f"±{self.most:g}"


@dataclass(frozen=True)
class Cell:
    """A cell of a table. ``good`` is set for a verdict: ``True`` is shown in green, ``False`` in red."""

    text: str
    good: bool | None = None


@dataclass
class Table:
    """A table. The first column holds words; the other columns hold numbers."""

    kind: ClassVar[str] = "table"
    caption: str
    headings: Sequence[str]
    rows: list[list[Cell]] = field(default_factory=list)

    def add(self, *cells: Cell | str) -> None:
        self.rows.append([cell if isinstance(cell, Cell) else Cell(cell) for cell in cells])

    @property
    def verdicts(self) -> list[bool]:
        return [cell.good for row in self.rows for cell in row if cell.good is not None]


@dataclass(frozen=True)
class Picture:
    """A figure as SVG."""

    kind: ClassVar[str] = "picture"
    caption: str
    svg: str


@dataclass(frozen=True)
class Proof:
    """A derivation. ``svg`` shows its formula."""

    kind: ClassVar[str] = "proof"
    derivation: Derivation
    svg: str


Part = Words | Table | Picture | Proof


@dataclass
class Section:
    """A question of the report.

    Args:
        name: the section's anchor, which links use.
        title: the heading.
        answer: one sentence for the summary.
        parts: the content of the section.
    """

    name: str
    title: str
    answer: str
    parts: list[Part] = field(default_factory=list)

    @property
    def verdicts(self) -> list[bool]:
        return [good for part in self.parts if isinstance(part, Table) for good in part.verdicts]


def beside(
    caption: str,
    labels: Iterable[str],
    printed: Sequence[float],
    measured: Sequence[float],
    tolerances: Tolerance | Sequence[Tolerance],
    *,
    judged: bool,
) -> Table:
    """A table of printed and measured numbers, with their deviations and verdicts.

    Args:
        caption: the caption of the table.
        labels: the labels of the rows.
        printed, measured: the numbers, one of each for a row.
        tolerances: one tolerance for all rows, or one for each row.
        judged: whether the runs are the full experiments. Only their numbers are compared with the printed
            numbers; the small version of ``--quick`` gets no verdicts.
    """
    each = repeat(tolerances) if isinstance(tolerances, Tolerance) else tolerances
    table = Table(caption, ("", "printed", "measured", "deviation", "tolerance", "verdict"))
    for label, old, new, tolerance in zip(labels, printed, measured, each, strict=False):
        good = tolerance.agrees(old, new)
        words = Cell("agrees" if good else "differs", good) if judged else Cell("not comparable")
        table.add(label, f"{old:.4f}", f"{new:.4f}", tolerance.deviation(old, new), str(tolerance), words)
    return table
