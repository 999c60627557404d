"""Print a trace on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from ...runs.terminal import new_console
from .layout import Block, justify


def print_blocks(parts: Iterable[Block]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.padding import Padding
    from rich.table import Table

    console = new_console()
    for number, part in enumerate(parts):
        if number:
            console.print()
        if part.title:
            console.print(part.title, style="bold")
        for line in part.lines:
            console.print(f"  {line}", soft_wrap=True)
        if part.rows:
            table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
            for i, heading in enumerate(part.headings):
                table.add_column(heading, justify=justify(i, heading), overflow="fold")
            for row in part.rows:
                table.add_row(*row)
            if part.lines:
                console.print()
            console.print(Padding(table, (0, 0, 0, 2), expand=False))
