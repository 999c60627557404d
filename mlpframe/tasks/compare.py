"""``mlpframe compare``: what the runs of a store say about each other, with the statistics for it."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..registry import UsageError, nearest
from ..tracking.client import OUTPUTS, store_uri
from .folder import STATUS

if TYPE_CHECKING:
    from ..statistics import Comparison, Group
    from ..tracking.runs import RunStore, StoredRun

METRICS = ("test/accuracy", "val/accuracy", "val/r2", "val/loss")
"""What is compared if nothing is said: the first that all runs have."""
LABELLED = re.compile(r"""(?P<label>[^=<>!'"`]*[^=<>!'"`\s])=(?P<argument>[^\s'"=].*)""")
FIELD = re.compile(r"(params?|parameters?|metrics?|tags?|attributes?|attr|run|datasets?)\.")
"""How a field begins in MLflow's filters: ``params.lr=…`` is no label."""
OPERATOR = re.compile(r"[=<>]|\b(like|ilike|in|is)\b", re.IGNORECASE)
LEFT = ("group", "pair", "test")
"""Columns of words."""
LONGEST = 60
"""Letters of a label made from settings; where it takes more, the argument is shown as it was given."""


@click.command("compare")
@click.argument("groups", nargs=-1, required=True, metavar="GROUP...")
@click.option("--metric", "metrics", multiple=True, help="What to compare; may be given several times.")
@click.option(
    "--level",
    default=0.95,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Of confidence.",
)
@click.option("--experiment", default=None, help="Look in this one only.")
@click.option("--uri", default=None, help="The store; otherwise MLFLOW_TRACKING_URI, else outputs/mlflow.db.")
@click.option("--out", default=None, type=Path, help="Where to write; otherwise outputs/comparisons/<time>.")
def compare(
    groups: Sequence[str],
    metrics: Sequence[str],
    level: float,
    experiment: str | None,
    uri: str | None,
    out: Path | None,
) -> None:
    """Compare runs: means with intervals, tests for each pair, and what more seeds would decide.

    A GROUP is the id of a run or sweep (or its beginning), the folder of one, or a filter in MLflow's syntax,
    e.g. "params.`optimizer.name` = 'adam'". A sweep stands for its runs. One argument alone is divided into
    groups that differ in more than the seed. NAME=GROUP gives it a name; groups of one name are joined.

    Runs of equal seeds are paired. Only finished runs count.

    Without --metric it is the first of test/accuracy, val/accuracy, val/r2 and val/loss that all runs have.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # its 7 take four minutes
    from ..statistics import compare as compare_groups
    from ..tracking.figures import draw_comparison
    from ..tracking.runs import RunStore

    notes: list[str] = []
    runs = read_groups(RunStore(store_uri(uri), experiment), groups, notes)
    comparisons = [
        compare_groups(metric, read_values(runs, metric, notes), level)
        for metric in dict.fromkeys(metrics or [_usual_metric(runs)])
    ]
    folder = out or OUTPUTS / "comparisons" / datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(folder / "groups.csv", [row for one in comparisons for row in one.group_rows()])
    _write_csv(folder / "pairs.csv", [row for one in comparisons for row in one.pair_rows()])
    for comparison in comparisons:
        draw_comparison(comparison, folder / _picture(comparison))
    (folder / "comparison.md").write_text(_markdown(comparisons, runs, notes))
    _print(comparisons, notes)
    click.echo(f"files   {os.path.relpath(folder)}")


def read_groups(store: RunStore, arguments: Sequence[str], notes: list[str]) -> dict[str, list[StoredRun]]:
    """The finished runs that arguments mean, by label; what was left out is added to the notes.

    Raises:
        UsageError: an argument means no run, a run is in two groups, or too few groups have finished runs.
    """
    found: dict[str, list[StoredRun]] = {}
    named = set()
    for given in arguments:
        label, argument = _split_label(given)
        if label:
            named.add(label)
        found.setdefault(label or given, []).extend(_find(store, argument))
    groups = {label: list({run.id: run for run in runs}.values()) for label, runs in found.items()}
    if len(groups) == 1 and not named:
        (runs,) = groups.values()
        parts = _by_settings(runs)
        groups = {label or "all": part for label, part in zip(_labels(parts), parts, strict=True)}
    else:
        _refuse_shared(groups)
        made = zip(groups, _labels(list(groups.values())), strict=True)
        labels = [given if given in named else label for given, label in made]
        if all(labels) and len(set(labels)) == len(labels) and max(map(len, labels)) <= LONGEST:
            groups = dict(zip(labels, groups.values(), strict=True))
        for label, runs in groups.items():
            if varying := _varying(runs):
                notes.append(f"{label}: its runs differ in more than the seed: {', '.join(varying)}")
    finished = {}
    for label, runs in groups.items():
        others = Counter(run.status for run in runs if run.status != STATUS["finished"])
        if others:
            words = ", ".join(f"{number} {status}" for status, number in others.items())
            notes.append(f"{label}: left out what did not finish: {words}")
        if good := [run for run in runs if run.status == STATUS["finished"]]:
            finished[label] = good
    if len(finished) < min(2, len(groups)):
        without = ", ".join(label for label in groups if label not in finished)
        raise UsageError(f"only runs that have finished are compared; there is none of {without}")
    return finished


def read_values(groups: Mapping[str, Sequence[StoredRun]], metric: str, notes: list[str]) -> list[Group]:
    """The groups with their values of a metric, by seed where that tells a group's runs apart.

    A run of the same settings and seed as another is no independent repeat: the newest counts, except for
    times, which are measured anew.

    Raises:
        UsageError: a group has no value of the metric.
    """
    from ..statistics import Group

    made = []
    for label, runs in groups.items():
        having = [run for run in runs if isfinite(run.metrics.get(metric, nan))]
        if not having:
            known = {name for members in groups.values() for run in members for name in run.metrics}
            raise UsageError(f"--metric {metric}: no run of {label} has it; {nearest(metric, known)}")
        if len(having) < len(runs):
            notes.append(f"{label}: {metric} is missing in {len(runs) - len(having)} of {len(runs)} runs")
        once = having
        if not metric.startswith("time/"):
            once = list({_identity(run): run for run in having}.values())
        if len(once) < len(having):
            notes.append(
                f"{label}: left out what repeats a newer run's settings and seed: {len(having) - len(once)}"
            )
        seeds = [run.params.get("seed") for run in once]
        unique = None not in seeds and len(set(seeds)) == len(seeds)
        made.append(
            Group(label, {run.params["seed"] if unique else run.id: run.metrics[metric] for run in once})
        )
    return made


def _split_label(given: str) -> tuple[str | None, str]:
    """``label=argument``, or an argument alone: a folder or filter may hold ``=`` itself."""
    match = LABELLED.fullmatch(given)
    if match is None or FIELD.match(given) or Path(given).exists():
        return None, given
    return match["label"], match["argument"]


def _find(store: RunStore, argument: str) -> list[StoredRun]:
    """The runs that an argument without label means."""
    if Path(argument).is_dir():
        return _members(store, store.starting_with(_recorded_id(store, Path(argument))))
    if re.fullmatch("[0-9a-f]{1,32}", argument):
        return _members(store, store.starting_with(argument))
    if OPERATOR.search(argument):
        runs = [run for run in store.search(argument) if not run.is_sweep]
        if not runs:
            raise UsageError(f"no run in {store.uri} fits the filter {argument}{_misspelt(store, argument)}")
        return runs
    known = [str(path) for part in ("runs", "sweeps") for path in OUTPUTS.glob(f"{part}/*/*")]
    raise UsageError(
        f"{argument!r} is no run's id, folder or filter, such as \"params.lr = '0.1'\"; "
        f"folders: {nearest(argument, known)}"
    )


def _members(store: RunStore, run: StoredRun) -> list[StoredRun]:
    children = store.children(run)
    if run.is_sweep and not children:
        raise UsageError(f"{run.id}: no run of this sweep is in {store.uri}")
    return children or [run]


def _recorded_id(store: RunStore, folder: Path) -> str:
    """The MLflow run of a folder."""
    file = folder / "mlflow.json"
    if not file.exists():
        raise UsageError(
            f"{folder} has no MLflow run; expected the folder of a recorded run or sweep under {OUTPUTS}/"
        )
    recorded: dict[str, str] = json.loads(file.read_text())
    if recorded["uri"] != store.uri:
        raise UsageError(f"{folder} was recorded in another store: --uri {recorded['uri']}")
    return recorded["run_id"]


def _misspelt(store: RunStore, argument: str) -> str:
    """The end of a message about a filter that finds nothing: which of its names no run has."""
    runs = store.search()
    for kind in ("params", "metrics", "tags"):
        known = {name for run in runs for name in getattr(run, kind)}
        for quoted, plain in re.findall(rf"\b{kind}\.(?:[`\"]([^`\"]+)[`\"]|([^\s=<>!`\"]+))", argument):
            name = quoted or plain
            if name not in known:
                return f"; no run has {name!r} among its {kind}, {nearest(name, known)}"
    return ""


def _refuse_shared(groups: Mapping[str, Sequence[StoredRun]]) -> None:
    owner: dict[str, str] = {}
    for label, runs in groups.items():
        for run in runs:
            if run.id in owner:
                raise UsageError(
                    f"run {run.id} is in two groups, {owner[run.id]} and {label}; expected it in one"
                )
            owner[run.id] = label


def _identity(run: StoredRun) -> Any:
    """What makes a run another experiment: its settings with the seed."""
    return frozenset(run.params.items()) if "seed" in run.params else run.id


def _by_settings(runs: Sequence[StoredRun]) -> list[list[StoredRun]]:
    """Runs that differ in the seed alone, together."""
    parts: dict[Any, list[StoredRun]] = {}
    for run in runs:
        settings = frozenset(item for item in run.params.items() if item[0] != "seed")
        parts.setdefault(settings, []).append(run)
    return list(parts.values())


def _varying(runs: Sequence[StoredRun]) -> list[str]:
    """The settings but the seed in which runs differ."""
    names = dict.fromkeys(name for run in runs for name in run.params if name != "seed")
    return [name for name in names if len({run.params.get(name) for run in runs}) > 1]


def _labels(groups: Sequence[Sequence[StoredRun]]) -> list[str]:
    """For each group the settings that its runs share and that tell it from the others.

    Settings that all runs have are enough as a rule: not each option of each optimizer needs to be named.
    """
    runs = [run for group in groups for run in group]
    varying = _varying(runs)
    common = [name for name in varying if all(name in run.params for run in runs)]
    labels: list[str] = []
    for names in (common, varying):
        labels = []
        for group in groups:
            values = {name: {run.params.get(name) for run in group} for name in names}
            own = {name: value for name, (value, *more) in values.items() if value is not None and not more}
            text = [v if name.endswith(".name") else f"{name}={v}" for name, v in own.items()]
            labels.append(" ".join(text))
        if len(set(labels)) == len(labels):
            break
    return labels


def _usual_metric(groups: Mapping[str, Sequence[StoredRun]]) -> str:
    shared = set.intersection(*(set(run.metrics) for runs in groups.values() for run in runs))
    for metric in METRICS:
        if metric in shared:
            return metric
    raise UsageError(
        f"the runs share none of {', '.join(METRICS)}: give --metric; "
        f"all have: {', '.join(sorted(shared)) or 'none'}"
    )


def _picture(comparison: Comparison) -> str:
    return f"{comparison.metric.replace('/', '_')}.png"


def _print(comparisons: Sequence[Comparison], notes: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 200
    for comparison in comparisons:
        for title, rows in _tables(comparison):
            table = Table(title=title, title_justify="left")
            for heading in rows[0]:
                table.add_column(heading, justify="left" if heading in LEFT else "right")
            for row in rows:
                table.add_row(*row.values())
            console.print(table)
        for sentence in comparison.sentences():
            console.print(sentence, soft_wrap=True)
        console.print()
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True)


def _tables(comparison: Comparison) -> list[tuple[str, list[dict[str, str]]]]:
    tables = [(comparison.metric, comparison.group_cells())]
    if comparison.pairs:
        tables.append(
            (f"{comparison.metric}: differences, p after Holm's correction", comparison.pair_cells())
        )
    return tables


def _markdown(
    comparisons: Sequence[Comparison], groups: Mapping[str, Sequence[StoredRun]], notes: Sequence[str]
) -> str:
    lines = ["# Comparison", ""]
    for comparison in comparisons:
        for title, rows in _tables(comparison):
            lines += [f"## {title}", "", _line(rows[0]), _line("---" for _ in rows[0])]
            lines += [*(_line(row.values()) for row in rows), ""]
        lines += [*(f"- {sentence}" for sentence in comparison.sentences()), ""]
        lines += [f"![{comparison.metric}]({_picture(comparison)})", ""]
    lines += ["## Runs", "", *(f"- note: {note}" for note in notes)]
    lines += [f"- {label}: {', '.join(run.id for run in runs)}" for label, runs in groups.items()]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0] if rows else [])
        writer.writeheader()
        writer.writerows(rows)
