"""The commands. Each command is one file, or a folder if its code needs several files."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import click

from ..registry import UsageError, nearest
from ..runs.signals import on_signal, raise_exit

COMMANDS = {
    "check": "check",
    "compare": "compare.command",
    "evaluate": "evaluate",
    "export": "export",
    "list": "listing",
    "lr-range": "lr_range",
    "new": "new",
    "predict": "predict",
    "report": "report.command",
    "runs": "runs",
    "serve": "serve",
    "trace": "trace.command",
    "ui": "ui",
}
"""The module of each command. Only the module of the requested command is imported."""
WITHOUT_PLUGINS = ("runs", "serve")
"""The commands that need no component. Loading all plugins takes longer than these commands."""


def command(name: str) -> click.Command:
    """The command called ``name``.

    Raises:
        UsageError: there is no such command.
    """
    if name not in COMMANDS:
        raise UsageError(f"{name!r} is neither a command nor a setting key=value; {nearest(name, COMMANDS)}")
    module = import_module(f".{COMMANDS[name]}", __name__)
    (click_command,) = (
        member
        for member in vars(module).values()
        if isinstance(member, click.Command) and member.name == name
    )
    return click_command


def dispatch(arguments: Sequence[str]) -> int:
    """Run the command that the first word names. Returns the exit status.

    Raises:
        UsageError: the command does not exist, or its arguments are wrong.
    """
    name, *command_arguments = arguments
    try:
        with on_signal(raise_exit, once=True):
            return int(command(name).main(command_arguments, f"mlpframe {name}", standalone_mode=False) or 0)
    except click.Abort:  # Ctrl-C or the end of the input at a question
        return 130
    except click.ClickException as error:
        raise UsageError(f"{name}: {error.format_message()}") from error
