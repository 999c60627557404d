"""``mlpframe runs``: list, compare and remove runs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from ..config import flat
from ..outputs import OUTPUTS, size
from ..registry import UsageError, nearest
from ..runs.finding import KnownRun, find_folder, find_run, known_runs, shown_ids
from ..runs.folder import UNRECORDED, RunFolder
from ..runs.terminal import new_console

LEFT_OUT = ("tracking", "resume", "callbacks.progress")
"""The beginnings of overrides that the table leaves out, because they do not change a run's results."""
LONG = "overrides"
"""The column whose text is cut off on a narrow terminal. The other columns fit into a width of 80 letters."""
STYLES = {"finished": "green", "running": "cyan", "interrupted": "yellow"}
"""Colors of a run's status; every other status is red."""


class _Runs(click.Group):
    """A group that names the nearest command if a command does not exist."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            raise UsageError(f"runs: there is no command {args[0]!r}; {nearest(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


@click.group("runs", cls=_Runs, invoke_without_command=True)
@click.option(
    "-n", "number", type=click.IntRange(1), default=20, show_default=True, help="How many runs to list."
)
@click.option("--all", "show_all", is_flag=True, help="Show all runs.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects, for scripts.")
@click.pass_context
def runs(context: click.Context, number: int, show_all: bool, as_json: bool) -> None:
    """List the newest runs in outputs/, including the runs of sweeps, and the disk space of outputs/.

    A command that takes a RUN accepts the word in the first column as the run's name.
    """
    if context.invoked_subcommand is not None:
        return
    known = known_runs()
    ids = shown_ids(known)
    shown = known if show_all else known[:number]
    if as_json:
        click.echo(json.dumps([_as_object(run, ids[run.folder.path]) for run in shown], indent=1))
        return
    if not known:
        click.echo(f"there are no runs in {OUTPUTS}/; python -m mlpframe trains and leaves one")
        return
    new_console().print(_table(shown, ids))
    if len(shown) < len(known):
        click.echo(f"{len(shown)} of {len(known)} runs; --all shows all")
    click.echo(_footer(known))


@runs.command("diff")
@click.argument("a")
@click.argument("b")
def diff(a: str, b: str) -> None:
    """Show in what the runs A and B differ: configuration, data, versions, results."""
    folders = [find_run(a), find_run(b)]
    if folders[0].path == folders[1].path:
        raise UsageError(f"{a} and {b} are the same run, {folders[0].path}")
    sides = [_contents(folder) for folder in folders]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "", a, b):
        table.add_column(heading, overflow="fold")
    same = []
    for part, (first, second) in {part: (sides[0][part], sides[1][part]) for part in sides[0]}.items():
        keys = [key for key in {**first, **second} if first.get(key) != second.get(key)]
        for key in keys:
            cells = [_value(side, key) for side in (first, second)]
            table.add_row("" if key != keys[0] else part, Text(key), *map(Text, cells))
        if not keys:
            same.append(part if first else f"{part} (not recorded)")
    if table.row_count:
        new_console().print(table)
    if same:
        click.echo(f"no difference: {', '.join(same)}")


@runs.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="RUN...")
@click.option("--yes", is_flag=True, help="Remove without asking.")
def remove(names: Sequence[str], yes: bool) -> int:
    """Remove runs: their folders with the checkpoints, and their entries and files in MLflow.

    The command refuses to remove a run that is still running, a run outside outputs/, and a run whose model
    is registered. If the command refuses one run, no run is removed.
    """
    from ..runs.removing import Removal

    folders = {folder.path: folder for folder in map(find_folder, names)}
    if not yes and not sys.stdin.isatty():
        raise UsageError("runs rm asks before it removes, and this is no terminal; expected --yes")
    removals = [Removal(folder) for folder in folders.values()]
    for removal in removals:
        mlflow = f", MLflow run {removal.mlflow_id}" if removal.mlflow_id else ""
        click.echo(f"{os.path.relpath(removal.folder.path)}  {decimal(size(removal.folder.path))}{mlflow}")
    what = "this run" if len(removals) == 1 else f"these {len(removals)} runs"
    if not yes and not click.confirm(f"remove {what}?"):
        click.echo("nothing was removed")
        return 0
    code = 0
    for removal in removals:
        try:
            click.echo("\n".join(removal.carry_out()))
        except (UsageError, OSError) as error:
            click.echo(f"{os.path.relpath(removal.folder.path)} was not removed: {error}", err=True)
            code = 1
    return code


# --- the list ----------------------------------------------------------------------------------------


def _table(known: Sequence[KnownRun], ids: Mapping[Path, str]) -> Table:
    """A table with a row for each run. Columns that are empty for all runs are left out."""
    metrics = dict.fromkeys(name for run in known for name in _main_metrics(run.record.get("metrics", {})))
    rows = [_words(run, ids[run.folder.path]) | _numbers(run, metrics) for run in known]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    headings = [heading for heading in rows[0] if any(row[heading] for row in rows)]
    for heading in headings:
        if heading == LONG:
            table.add_column(heading, min_width=len(heading))
        else:
            table.add_column(heading, no_wrap=True, justify="right" if heading in metrics else "left")
    for row in rows:
        table.add_row(*(row[heading] for heading in headings))
    return table


def _words(run: KnownRun, shown_id: str) -> dict[str, Text]:
    status, began = run.status, _time(run)
    this_year = began.year == datetime.now().year
    given = " ".join(text for text in run.record.get("overrides", ()) if not text.startswith(LEFT_OUT))
    name = f"{run.record['name']}: " if run.record.get("name") else ""
    damage = (run.damage or "").replace(f"{run.folder.path}{os.sep}", "")
    return {
        "run": Text(shown_id, overflow="fold"),
        "status": Text(status, STYLES.get(status, "red")),
        "when": Text(began.strftime("%m-%d %H:%M" if this_year else "%Y-%m-%d")),
        "of": Text("" if run.kind == "run" else run.kind),
        LONG: Text(damage or f"{name}{given}", no_wrap=True, overflow="ellipsis"),
    }


def _numbers(run: KnownRun, names: Iterable[str]) -> dict[str, Text]:
    metrics = run.record.get("metrics", {})
    return {name: Text(f"{metrics[name]:.4f}" if name in metrics else "") for name in names}


def _main_metrics(metrics: Mapping[str, float]) -> list[str]:
    """The metrics to show: the validation loss, and one metric of quality, such as the test accuracy."""
    usual = [f"{part}/{name}" for part in ("test", "val") for name in ("accuracy", "r2")]
    others = [name for name in metrics if name.startswith(("test/", "val/")) and not name.endswith("/loss")]
    best = [name for name in (*usual, *others, "test/loss") if name in metrics]
    return [name for name in ("val/loss", *best[:1]) if name in metrics]


def _time(run: KnownRun) -> datetime:
    return datetime.fromtimestamp(run.started).astimezone()


def _as_object(run: KnownRun, shown_id: str) -> dict[str, Any]:
    return {
        "id": shown_id,
        "mlflow_id": run.mlflow_id,
        "folder": str(run.folder.path),
        "of": run.kind,
        "status": run.status,
        "damage": run.damage,
        "started": _time(run).isoformat(timespec="seconds"),
        **{key: run.record.get(key) for key in ("name", "overrides", "metrics", "seconds", "error")},
    }


def _footer(known: Iterable[KnownRun]) -> str:
    sizes = {part: size(OUTPUTS / part) for part in ("runs", "sweeps", "report")}
    sizes["MLflow"] = size(OUTPUTS / "mlartifacts") + sum(
        file.stat().st_size for file in OUTPUTS.glob("mlflow.db*")
    )
    checkpoints = sum(size(run.folder.checkpoint.parent) for run in known)
    parts = ", ".join(f"{part} {decimal(taken)}" for part, taken in sizes.items() if taken)
    total = decimal(sum(sizes.values()))
    return f"{OUTPUTS}/ takes {total}: {parts}; checkpoints of the runs {decimal(checkpoints)}"


# --- the differences ---------------------------------------------------------------------------------


def _contents(folder: RunFolder) -> dict[str, dict[str, Any]]:
    """What the command ``diff`` compares of a run: values by key, for each part such as ``configuration``."""
    record = folder.read()
    return {
        "configuration": _configuration(folder),
        "data": record.get("data", {}),
        "versions": record.get("versions", {}),
        "results": {"status": record.get("status"), **record.get("metrics", {})},
    }


def _configuration(folder: RunFolder) -> dict[str, Any]:
    """A run's configuration by dotted key, without the settings that only say how the run is recorded."""
    return flat({key: value for key, value in folder.config().items() if key not in UNRECORDED})


def _value(side: Mapping[str, Any], key: str) -> str:
    if key not in side:
        return "—"
    value = side[key]
    return "null" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
