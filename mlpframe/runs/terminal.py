"""The console that runs and commands print to."""

from __future__ import annotations

from rich.console import Console

WIDTH = 200
"""Columns where the output is no terminal: nothing is folded or cut for a file or a pipe."""


def new_console(*, quiet: bool = False, soft_wrap: bool = False) -> Console:
    """A console that shows texts as they are: brackets and colons of names are no markup.

    Args:
        quiet: print nothing.
        soft_wrap: leave the breaking of long lines to the terminal.
    """
    made = Console(highlight=False, markup=False, emoji=False, quiet=quiet, soft_wrap=soft_wrap)
    if not made.is_terminal:
        made.width = WIDTH
    return made
