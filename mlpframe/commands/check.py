"""``mlpframe check``: test whether components keep the promises of their kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from ..discovery import load_plugins
from ..registry import registries
from ..runs.terminal import new_console

if TYPE_CHECKING:
    from ..testing import Outcome

STYLES = {"ok": "green", "failed": "bold red", "skipped": "yellow"}


@click.command("check")
@click.argument("requests", nargs=-1, required=True, metavar="PLUGIN...")
@click.option("--failed", "only_failed", is_flag=True, help="Show only checks that failed or were skipped.")
def check(requests: Sequence[str], only_failed: bool) -> int:
    """Check components with the conformance kit: the facts that hold for every component of a kind.

    A PLUGIN is a plugin's file or folder, anywhere on the disk; the name of a component; kind/name, or kind
    and name; a kind; or all. If several checks of a component fail for the same reason, only the first is
    shown. If no check of a component fails, the line below the checks says by what factor its textbook form
    is slower than its fast form. The exit status is 0 if no check fails, otherwise 1.
    """
    from ..testing import cases, find_components
    from ..testing.textbook import slowdown

    components = dict.fromkeys(name for request in _joined(requests) for name in find_components(request))
    console = new_console()
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("component", "check", "", "reason"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "reason")
    outcomes = [case.outcome() for case in cases(components)]
    failures = Counter(_failure(outcome) for outcome in outcomes if outcome.status == "failed")
    reported: set[tuple[str, str]] = set()
    shown = None
    for outcome in outcomes:
        if (only_failed and outcome.status == "ok") or _failure(outcome) in reported:
            continue
        component, reason = _failure(outcome)
        if outcome.status == "failed":  # an error in __init__ or bind fails nearly every check
            reported.add(_failure(outcome))
            if more := failures[_failure(outcome)] - 1:
                reason += f" ({more} more check{'s' * (more > 1)} failed for this reason)"
        status = Text(outcome.status, style=STYLES[outcome.status])
        title = outcome.case.check.title
        table.add_row("" if component == shown else component, title, status, Text(reason))
        shown = component
    if table.row_count:
        console.print(table)
    failed = {component for component, _ in failures}
    for kind, name in components if not only_failed else ():
        if f"{kind} {name}" not in failed and (factor := slowdown(kind, name)):
            console.print(Text(f"{kind} {name}: {factor}"))
    counts = Counter(outcome.status for outcome in outcomes)
    total = ", ".join(f"{counts[status]} {status}" for status in STYLES if counts[status])
    number = "1 component" if len(components) == 1 else f"{len(components)} components"
    console.print(Text(f"{number}: {total}"))
    return 1 if counts["failed"] else 0


def _joined(requests: Sequence[str]) -> list[str]:
    """The requests, with a kind and the name of a component of this kind joined to kind/name."""
    load_plugins()
    joined: list[str] = []
    for request in requests:
        if joined and joined[-1] in registries and request in registries[joined[-1]]:
            joined[-1] += f"/{request}"
        else:
            joined.append(request)
    return joined


def _failure(outcome: Outcome) -> tuple[str, str]:
    """The component and the reason on one line. Equal failures are reported once."""
    return f"{outcome.case.kind} {outcome.case.name}", " ".join(outcome.reason.split())
