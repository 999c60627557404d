"""``mlpframe list``: show the components that are available."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from shutil import get_terminal_size
from typing import Any

import click

from ..registry import KINDS, REQUIRED, Info, Registry, registries, type_name


@click.command("list")
@click.argument("kind", required=False)
@click.argument("name", required=False)
def list_components(kind: str | None, name: str | None) -> None:
    """Show all components, the components of one KIND, or one component and its options."""
    if kind is not None and name is not None:
        _show(registries[kind].info(name))
        return
    width = get_terminal_size().columns if sys.stdout.isatty() else None
    for shown_kind in [kind] if kind is not None else KINDS:
        click.echo("\n".join([shown_kind, *_rows(registries[shown_kind], width)]))
    for broken in registries.broken:
        click.secho(f"broken: {broken.name}  {broken.file}: {broken.error}", fg="red")


def _rows(registry: Registry, width: int | None) -> Iterator[str]:
    """One line for each component: its full name, and as much of its summary as fits into ``width``."""
    names = registry.names()
    longest = max(map(len, names), default=0)
    for name in names:
        provider = registry.provider(name)
        line = f"   {name:<{longest}}  {registry.summary(name)}"
        line += "" if provider == "built-in" else f"  [{provider}]"
        yield line if width is None or len(line) <= width else line[: width - 1] + "…"


def _show(info: Info) -> None:
    from rich.table import Table
    from rich.text import Text

    from ..runs.terminal import new_console

    console = new_console()
    console.print(Text(f"{info.kind} {info.name}: {info.summary}\n"), soft_wrap=True)
    if info.formula:
        console.print(Text(info.formula + "\n"), soft_wrap=True)
    if info.textbook:
        console.print(Text(info.textbook), soft_wrap=True)
    if info.options:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("option", "type", "default", ""):
            table.add_column(heading, overflow="fold")
        for option in info.options:
            default = "required" if option.default is REQUIRED else _plain(option.default)
            table.add_row(option.name, Text(type_name(option.type)), Text(default), Text(option.doc))
        console.print(table)
    if info.source:
        console.print(Text(f"\nSource: {info.source}"), soft_wrap=True)
    console.print(
        Text(f"{os.path.relpath(info.file)}:{info.line}, provided by {info.provider}"), soft_wrap=True
    )


def _plain(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
