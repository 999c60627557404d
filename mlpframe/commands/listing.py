"""``mlpframe list``: show the components that are available."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from ..registry import KINDS, REQUIRED, Info, Option, Registry, registries, shared_options, type_name
from ..runs.keys import presets

if TYPE_CHECKING:
    from rich.console import Console

FACTS = {"optimizer": ("default_lr", "scope"), "loss": ("tasks",), "metric": ("tasks",)}
"""The attributes of a component's class that are shown beside its options."""


@click.command("list")
@click.argument("kind", required=False)
@click.argument("name", required=False)
def list_components(kind: str | None, name: str | None) -> None:
    """Show all components, the components of one KIND, or one component and its options.

    A preset sets options of components. Its name is used like a component's.
    """
    if kind is not None and name is not None:
        registry, preset = registries[kind], presets(kind).get(name)
        if preset is not None and name not in registry:
            _show_preset(kind, name, preset)
        else:
            _show(registry.info(name))
        return
    width = get_terminal_size().columns if sys.stdout.isatty() else None
    for shown_kind in [kind] if kind is not None else KINDS:
        click.echo("\n".join([shown_kind, *_rows(registries[shown_kind], width)]))
    for broken in registries.broken:
        click.secho(f"broken: {broken.name}  {broken.file}: {broken.error}", fg="red")


def _rows(registry: Registry, width: int | None) -> Iterator[str]:
    """One line for each component: its full name, and as much of its summary as fits into ``width``."""
    providers = {name: registry.provider(name) for name in registry.names()}
    lines = {
        name: registry.summary(name) + ("" if provider == "built-in" else f"  [{provider}]")
        for name, provider in providers.items()
    }
    lines |= {
        name: f"preset: {_first_comment(file)}"
        for name, file in presets(registry.kind).items()
        if name not in lines
    }
    longest = max(map(len, lines), default=0)
    for name, text in lines.items():
        line = f"   {name:<{longest}}  {text}"
        yield line if width is None or len(line) <= width else line[: width - 1] + "…"


def _first_comment(file: Path) -> str:
    """The first sentence of the comment at the top of a preset."""
    lines = file.read_text("utf-8").splitlines()
    comment = [
        line.removeprefix("#").strip() for line in lines if line.startswith("#") and "@package" not in line
    ]
    return " ".join(comment).partition(". ")[0].rstrip(".")


def _show_preset(kind: str, name: str, file: Path) -> None:
    click.echo(f"{kind} {name}: a preset, used as {kind}={name}\n")
    click.echo(file.read_text("utf-8"))
    click.echo(os.path.relpath(file))


def _show(info: Info) -> None:
    from rich.text import Text

    from ..runs.terminal import new_console

    console = new_console()
    console.print(Text(f"{info.kind} {info.name}: {info.summary}\n"), soft_wrap=True)
    if info.formula:
        console.print(Text(info.formula + "\n"), soft_wrap=True)
    if info.textbook:
        console.print(Text(info.textbook), soft_wrap=True)
    shared = shared_options(info.cls)
    _print_options(console, "option", [option for option in info.options if option.name not in shared])
    heading = f"option of every {info.kind}"
    _print_options(console, heading, [option for option in info.options if option.name in shared])
    facts = [f"{fact} {_plain(getattr(info.cls, fact))}" for fact in FACTS.get(info.kind, ())]
    if facts:
        console.print(Text(", ".join(facts)), soft_wrap=True)
    if info.source:
        console.print(Text(f"\nSource: {info.source}"), soft_wrap=True)
    console.print(
        Text(f"{os.path.relpath(info.file)}:{info.line}, provided by {info.provider}"), soft_wrap=True
    )


def _print_options(console: Console, heading: str, options: Sequence[Option]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not options:
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in (heading, "type", "default", ""):
        table.add_column(title, overflow="fold")
    for option in options:
        default = "required" if option.default is REQUIRED else _plain(option.default)
        table.add_row(option.name, Text(type_name(option.type)), Text(default), Text(option.doc))
    console.print(table)
    console.print()


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
