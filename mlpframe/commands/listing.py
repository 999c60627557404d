"""``mlpframe list``: what there is."""

from __future__ import annotations

import os
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..registry import KINDS, REQUIRED, Info, registries, type_name
from ..runs.terminal import new_console


@click.command("list")
@click.argument("kind", required=False)
@click.argument("name", required=False)
def list_components(kind: str | None, name: str | None) -> None:
    """Show the components: all, those of one KIND, or one with its options."""
    console = new_console()
    if kind is not None and name is not None:
        _show(console, registries[kind].info(name))
        return
    for one in [kind] if kind is not None else KINDS:
        registry = registries[one]
        table = Table(box=None, show_header=False, title=one, title_justify="left", padding=(0, 1))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for known in registry.names():
            info = registry.info(known)
            provider = "" if info.provider == "built-in" else f"  [{info.provider}]"
            table.add_row(f"  {known}", Text(info.summary + provider))
        console.print(table)
    for broken in registries.broken:
        console.print(
            Text(f"broken: {broken.name}  {broken.file}: {broken.error}", style="red"), soft_wrap=True
        )


def _show(console: Console, info: Info) -> None:
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
