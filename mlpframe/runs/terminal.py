"""The console that runs and commands print to."""

from __future__ import annotations

from rich.console import Console

WIDTH = 200
"""Width in letters of output to a file or a pipe. The width is large, so that no line is wrapped or cut."""


def new_console(*, quiet: bool = False, soft_wrap: bool = False) -> Console:
    """A console that prints text unchanged. Brackets and colons in names are not read as markup.

    Args:
        quiet: print nothing.
        soft_wrap: let the terminal wrap long lines.
    """
    console = Console(highlight=False, markup=False, emoji=False, quiet=quiet, soft_wrap=soft_wrap)
    if not console.is_terminal:
        console.width = WIDTH
    return console
