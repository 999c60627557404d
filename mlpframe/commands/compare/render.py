"""Write a comparison as tables on the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...runs.terminal import new_console

if TYPE_CHECKING:
    from ...analysis.comparison import Comparison
    from ...tracking.reading import StoredRun


LEFT = ("group", "pair", "test")
"""The columns that hold words, not numbers."""


def picture(comparison: Comparison) -> str:
    return f"{comparison.metric.replace('/', '_')}.png"


def print_comparisons(comparisons: Sequence[Comparison], notes: Sequence[str]) -> None:
    from rich.table import Table

    console = new_console()
    for comparison in comparisons:
        for title, rows in _tables(comparison):
            table = Table(title=title, title_justify="left")
            for heading in rows[0]:
                table.add_column(heading, justify="left" if heading in LEFT else "right")
            for row in rows:
                table.add_row(*row.values())
            console.print(table)
        for sentence in comparison.sentences():
            console.print(sentence, soft_wrap=True)
        console.print()
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True)


def _tables(comparison: Comparison) -> list[tuple[str, list[dict[str, str]]]]:
    tables = [(comparison.metric, comparison.group_cells())]
    if comparison.pairs:
        tables.append(
            (f"{comparison.metric}: differences, p after Holm's correction", comparison.pair_cells())
        )
    return tables


def markdown(
    comparisons: Sequence[Comparison], groups: Mapping[str, Sequence[StoredRun]], notes: Sequence[str]
) -> str:
    lines = ["# Comparison", ""]
    for comparison in comparisons:
        for title, rows in _tables(comparison):
            lines += [f"## {title}", "", _line(rows[0]), _line("---" for _ in rows[0])]
            lines += [*(_line(row.values()) for row in rows), ""]
        lines += [*(f"- {sentence}" for sentence in comparison.sentences()), ""]
        lines += [f"![{comparison.metric}]({picture(comparison)})", ""]
    lines += ["## Runs", "", *(f"- note: {note}" for note in notes)]
    lines += [f"- {label}: {', '.join(run.id for run in runs)}" for label, runs in groups.items()]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0] if rows else [])
        writer.writeheader()
        writer.writerows(rows)
