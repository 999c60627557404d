"""One file for each command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click


def commands() -> dict[str, click.Command]:
    """The commands by name; training is the one without a name."""
    from .compare import compare
    from .listing import list_components
    from .trace import trace
    from .ui import ui

    return {command.name or "": command for command in (compare, list_components, trace, ui)}
