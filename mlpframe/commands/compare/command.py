"""``mlpframe compare``: compare groups of recorded runs with statistical tests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from ...outputs import OUTPUTS, store_uri
from ...runs.finding import known_runs
from ...tracking.environment import set_defaults
from .render import markdown, picture, print_comparisons, write_csv
from .selection import read_groups, read_values, usual_metric


@click.command("compare")
@click.argument("groups", nargs=-1, required=True, metavar="GROUP...")
@click.option("--metric", "metrics", multiple=True, help="A metric to compare; may be given several times.")
@click.option(
    "--level",
    default=0.95,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Confidence level of the intervals.",
)
@click.option("--experiment", default=None, help="Search only the MLflow experiment with this name.")
@click.option(
    "--uri", default=None, help="MLflow store; default: MLFLOW_TRACKING_URI, else outputs/mlflow.db."
)
@click.option(
    "--out", default=None, type=Path, help="Folder to write to; default: outputs/comparisons/<time>."
)
def compare(
    groups: Sequence[str],
    metrics: Sequence[str],
    level: float,
    experiment: str | None,
    uri: str | None,
    out: Path | None,
) -> None:
    """Compare runs: means with intervals, a test for each pair, and how many seeds a decision needs.

    A GROUP is the id of a run or sweep, or the beginning of the id; the folder of a run or sweep; or a filter
    in MLflow's syntax, e.g. "params.`optimizer.name` = 'adam'". A sweep stands for its runs. A single GROUP
    is divided into groups whose runs differ only in the seed. NAME=GROUP names a group. Groups with the same
    name are joined.

    Runs with equal seeds are paired. Only finished runs count.

    Without --metric, the command compares the first of test/accuracy, val/accuracy, val/r2 and val/loss that
    all runs have.
    """
    set_defaults()
    from ...analysis.comparison import compare as compare_groups
    from ...figures.comparison import draw_comparison
    from ...tracking.reading import RunStore

    known_runs()  # marks the runs whose process was killed in the store
    notes: list[str] = []
    runs = read_groups(RunStore(store_uri(uri), experiment), groups, notes)
    comparisons = [
        compare_groups(metric, read_values(runs, metric, notes), level)
        for metric in dict.fromkeys(metrics or [usual_metric(runs)])
    ]
    folder = out or OUTPUTS / "comparisons" / datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "groups.csv", [row for result in comparisons for row in result.group_rows()])
    write_csv(folder / "pairs.csv", [row for result in comparisons for row in result.pair_rows()])
    for comparison in comparisons:
        draw_comparison(comparison, folder / picture(comparison))
    (folder / "comparison.md").write_text(markdown(comparisons, runs, notes))
    print_comparisons(comparisons, notes)
    click.echo(f"files   {os.path.relpath(folder)}")
