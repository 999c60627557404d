"""One file for each command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click


def commands() -> dict[str, click.Command]:
    """The commands by name; training is the one without a name."""
    from .check import check
    from .compare.command import compare
    from .listing import list_components
    from .lr_range import lr_range
    from .new import new
    from .report.command import report
    from .trace.command import trace
    from .ui import ui

    made = (check, compare, list_components, lr_range, new, report, trace, ui)
    return {command.name or "": command for command in made}
