"""``mlpframe new``: write a component to start from, and its test."""

from __future__ import annotations

import os
import re
from keyword import iskeyword
from pathlib import Path

import click

from ..discovery import PACKAGE
from ..registry import KINDS, UsageError, nearest, registries

TEMPLATES = PACKAGE / "templates"
"""The folder with a component of each kind, registered as ``template``, and its test."""
PLUGIN_PATH = 'Path(__file__).parent / "template.py"'
"""The expression in a template's test for the path of the component's file."""


@click.command("new")
@click.argument("kind")
@click.argument("name")
@click.option(
    "--folder", type=Path, default=Path("my_plugins"), show_default=True, help="Folder of the plugin."
)
@click.option("--tests", type=Path, default=None, help="Folder of its test; default: the plugin's folder.")
def new(kind: str, name: str, folder: Path, tests: Path | None) -> None:
    """Write a plugin of a KIND, registered as NAME, and its test. The plugin passes the test unchanged.

    To use the plugin, name its folder in MLPFRAME_PLUGINS.
    """
    _check_names(kind, name)
    plugin, test = folder / f"{name}.py", (tests or folder) / f"test_{name}.py"
    for file in (plugin, test):
        if file.exists():
            raise UsageError(f"{file} exists already; choose another name or folder")
    plugin_path = Path(
        os.path.relpath(plugin.parent.resolve(), test.parent.resolve()), plugin.name
    ).as_posix()
    for template, file in ((f"{kind}.py", plugin), (f"test_{kind}.py", test)):
        text = (TEMPLATES / template).read_text("utf-8")
        text = text.replace(PLUGIN_PATH, f'Path(__file__).parent / "{plugin_path}"')
        text = re.sub(r"\btemplate\b", name, text)
        text = re.sub(r"\bTemplate\b", _class_name(name), text)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        click.echo(f"wrote   {file}")
    click.echo(f"check   python -m mlpframe check {plugin}")
    click.echo(f"test    python -m pytest {test}")
    click.echo(f"use     MLPFRAME_PLUGINS={folder.resolve()}")


def _check_names(kind: str, name: str) -> None:
    """Raise ``UsageError`` if the kind does not exist, or if the name is invalid or already taken."""
    if kind not in KINDS:
        raise UsageError(f"there is no kind {kind!r}; {nearest(kind, KINDS)}")
    if not name.isidentifier() or iskeyword(name) or not name.islower():
        raise UsageError(
            f"{name!r} is not a component's name; expected a lower-case Python name such as my_{kind}"
        )
    if name.startswith(("_", "test_")) or name == "conf":
        raise UsageError(f"a plugin file named {name}.py would not be loaded; choose another name")
    if name in registries[kind]:
        file = registries[kind].info(name).file
        raise UsageError(
            f"the {kind} {name!r} exists already, in {os.path.relpath(file)}; choose another name"
        )


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
