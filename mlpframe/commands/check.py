"""``mlpframe check``: test whether components keep the promises of their kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import click
from rich.table import Table
from rich.text import Text

from ..runs.terminal import new_console

STYLES = {"ok": "green", "failed": "bold red", "skipped": "yellow"}


@click.command("check")
@click.argument("requests", nargs=-1, required=True, metavar="PLUGIN...")
@click.option("--failed", "only_failed", is_flag=True, help="Show only checks that failed or were skipped.")
def check(requests: Sequence[str], only_failed: bool) -> int:
    """Check components with the conformance kit: the facts that hold for every component of a kind.

    A PLUGIN is a plugin's file or folder, anywhere on the disk; the name of a component; kind/name; a kind;
    or all. The line below the checks says by what factor a component's textbook form is slower than its fast
    form. The exit status is 0 if no check fails, otherwise 1.
    """
    from ..testing import cases, find_components
    from ..testing.textbook import slowdown

    components = dict.fromkeys(component for request in requests for component in find_components(request))
    console = new_console()
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("component", "check", "", "reason"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "reason")
    counts: Counter[str] = Counter()
    shown = None
    for case in cases(components):
        outcome = case.outcome()
        counts[outcome.status] += 1
        if only_failed and outcome.status == "ok":
            continue
        case_name = f"{case.kind} {case.name}"
        status = Text(outcome.status, style=STYLES[outcome.status])
        table.add_row(
            "" if case_name == shown else case_name, case.check.title, status, Text(_in_lines(outcome.reason))
        )
        shown = case_name
    if table.row_count:
        console.print(table)
    for kind, name in components if not only_failed else ():
        if factor := slowdown(kind, name):
            console.print(Text(f"{kind} {name}: {factor}"))
    total = ", ".join(f"{counts[status]} {status}" for status in STYLES if counts[status])
    number = "1 component" if len(components) == 1 else f"{len(components)} components"
    console.print(Text(f"{number}: {total}"))
    return 1 if counts["failed"] else 0


def _in_lines(reason: str) -> str:
    return " ".join(reason.split())
