"""One file for each command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

MULTIRUN = ("-m", "--multirun")
"""How Hydra is asked for a sweep."""


def commands() -> dict[str, click.Command]:
    """The commands by name; training is the one without a name."""
    from .check import check
    from .compare import compare
    from .listing import list_components
    from .lr_range import lr_range
    from .new import new
    from .report import report
    from .trace import trace
    from .ui import ui

    made = (check, compare, list_components, lr_range, new, report, trace, ui)
    return {command.name or "": command for command in made}
