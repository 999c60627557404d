"""``mlpframe evaluate``: how good a run, or a committee of runs, is on rows that it has not seen."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table

from ..analysis.evaluation import (
    THRESHOLDS,
    Importance,
    Interval,
    best_threshold,
    importances,
    intervals,
    threshold_scores,
    worst,
)
from ..api import Array, Metric, UsageError
from ..outputs import OUTPUTS
from ..runs.evaluating import Committee, Part, held_out, metrics_for, read_part
from ..runs.finding import find_runs
from ..runs.folder import MODEL, RunFolder
from ..runs.predicting import FORMATS
from ..runs.terminal import new_console

MAIN = {"classification": "accuracy", "multilabel": "f1", "regression": "rmse"}
"""The metric, by task, whose change measures the importance of an input."""
SMALLER_IS_BETTER = ("rmse",)
SHOWN = 5
"""How many rows of a table are printed. The file of the table may have more rows."""
WORST = 50
"""The largest number of mistakes that ``worst.csv`` lists."""
IMPORTANCE_ROWS = 2000
"""How many rows permutation importance uses at most. If there are more rows, they are drawn at random."""

MOST_INPUTS = 200
"""If a model has more inputs than this, their importance is not measured."""


@click.command("evaluate")
@click.argument("names", nargs=-1, required=True, metavar="RUN... [FILE]")
@click.option("-o", "--out", type=Path, default=None, help="Folder to write to; default: the run's folder.")
@click.option(
    "--threshold",
    default=None,
    metavar="METRIC",
    help="Find the threshold between two classes with the best f1, accuracy or balanced_accuracy.",
)
@click.option(
    "--resamples",
    type=click.IntRange(2),
    default=1000,
    show_default=True,
    help="Number of bootstrap resamples for the intervals.",
)
@click.option(
    "--repeats",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Number of permutations of each input for its importance; 0: measure no importance.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the resamples and the permutations.",
)
def evaluate(
    names: Sequence[str], out: Path | None, threshold: str | None, resamples: int, repeats: int, seed: int
) -> None:
    """Evaluate RUN on the rows of FILE, or on the rows that the run has held out.

    Without FILE, the rows are the run's test part, or its validation part if it has no test part. FILE is a
    .csv or .parquet file with the target, or a .npz file with x and y. Several RUNs, or the folder of a
    sweep, are a committee: their probabilities, or the values of a regression, are averaged.

    The 95 % bootstrap interval of a metric shows how much its value depends on the rows. The command writes
    the metrics, the worst mistakes, the permutation importance of the inputs, and figures into the folder.

    With --threshold, the second of two classes is predicted if its probability is above a threshold. The
    command finds the threshold with the largest f1 (of the second class), accuracy or balanced_accuracy. It
    searches on the validation part if the rows are the test part of one run, else on the rows themselves.
    """
    runs, file = _split(names)
    folders = [folder for name in runs for folder in find_runs(name, needs=MODEL)]
    committee = Committee(list({folder.path: folder for folder in folders}.values()))
    if threshold is not None:
        _check_threshold(threshold, committee)
    config = committee.folders[0].config()
    tuning = None
    if file is None:
        part, tuning = held_out(committee.folders, committee)
    else:
        part = read_part(file, config.get("dataset", {}), committee.first)
    for note in part.notes:
        click.echo(note, err=True)
    folder = out or _folder(committee)
    folder.mkdir(parents=True, exist_ok=True)
    each = committee.each(part.x)
    prediction = np.asarray(np.mean(each, axis=0))
    _refuse_nan(prediction, part)
    metrics = metrics_for(committee, config)
    rng = np.random.default_rng(seed)
    results = intervals(metrics, prediction, part.y, resamples, rng)
    click.echo(f"{_title(committee)} on the {len(part):,} rows of {part.name}")
    _show_metrics(results, _single(metrics, each, part), folder / "metrics.csv")
    if threshold is not None:
        _find_threshold(threshold, committee, prediction, part, tuning)
    _show_worst(committee, prediction, part, folder / "worst.csv")
    _draw(committee, prediction, part, folder)
    if repeats == 1:
        raise UsageError("--repeats 1: a standard deviation needs at least 2; 0 leaves out the importance")
    if repeats:
        _show_importance(committee, metrics, part, repeats, rng, folder)
    click.echo(f"files   {os.path.relpath(folder)}")


def _split(names: Sequence[str]) -> tuple[Sequence[str], Path | None]:
    """Split the words into those that name runs, and the file: the last word, if it ends like a table's."""
    last = Path(names[-1])
    is_model = last.suffix == ".npz" and last.parent.name in ("model", "checkpoints")
    is_file = not is_model and any(suffix in FORMATS for suffix in last.suffixes[-2:])
    if is_file and len(names) == 1:
        raise UsageError(f"evaluate {last}: expected a RUN before the file, such as latest")
    return (names[:-1], last) if is_file else (names, None)


def _folder(committee: Committee) -> Path:
    """The folder for the results: in the run's folder, or a new one for a committee or a fetched model."""
    path = committee.folders[0].path
    if len(committee.members) == 1 and (path / "run.json").is_file():
        return path / "evaluation"
    return OUTPUTS / "evaluations" / datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")


def _title(committee: Committee) -> str:
    if len(committee.members) > 1:
        return f"committee of {len(committee.members)} runs"
    return _name(committee.folders[0])


def _name(folder: RunFolder) -> str:
    return os.path.relpath(folder.path)


def _refuse_nan(prediction: Array, part: Part) -> None:
    empty = int(np.isnan(prediction).any(1).sum())
    if empty:
        raise UsageError(
            f"{empty:,} of {len(part):,} rows have missing values, and the run did not learn to fill them "
            "(dataset.missing=impute does)"
        )


# --- metrics -----------------------------------------------------------------------------------------


def _single(metrics: Mapping[str, Metric], each: Sequence[Array], part: Part) -> dict[str, list[float]]:
    """The metrics of every member of a committee; empty for a single run."""
    if len(each) == 1:
        return {}
    return {name: [float(metric.compute(p, part.y)) for p in each] for name, metric in metrics.items()}


def _show_metrics(results: Mapping[str, Interval], single: Mapping[str, Sequence[float]], file: Path) -> None:
    rows = []
    for name, result in results.items():
        row: dict[str, Any] = {"metric": name, "value": result.value, "low": result.low, "high": result.high}
        if single:
            values = single[name]
            row |= {
                "single_mean": float(np.mean(values)),
                "single_lowest": min(values),
                "single_highest": max(values),
            }
        rows.append(row)
    _write(file, rows)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("metric", "committee" if single else "value", "95 % interval"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    if single:
        table.add_column("single runs: mean", justify="right")
        table.add_column("lowest to highest", justify="right")
    for row in rows:
        cells = [row["metric"], _number(row["value"]), f"{_number(row['low'])} to {_number(row['high'])}"]
        if single:
            lowest, highest = _number(row["single_lowest"]), _number(row["single_highest"])
            cells += [_number(row["single_mean"]), f"{lowest} to {highest}"]
        table.add_row(*cells)
    new_console().print(table)


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"


def _check_threshold(threshold: str, committee: Committee) -> None:
    best_threshold(np.array([0.5]), np.array([1]), threshold)  # refuses an unknown name
    committee.first.words(threshold=0.5)  # refuses a model of more classes
    if committee.task != "classification":
        raise UsageError("--threshold is for two classes, and the model is multilabel")


def _find_threshold(
    maximizes: str, committee: Committee, prediction: Array, part: Part, tuning: Part | None
) -> None:
    p, y = prediction[:, 1], part.y
    if tuning is None:
        chosen, where = best_threshold(p, y, maximizes), "on these very rows, so expect less on new rows"
    else:
        chosen = best_threshold(committee.predict(tuning.x)[:, 1], tuning.y, maximizes)
        where = f"on the {len(tuning):,} rows of {tuning.name}"
    label = committee.first.encoder.target.class_names[1]
    click.echo(f"threshold {chosen:.4g}: {label} if p({label}) is above it; chosen for {maximizes} {where}")
    scores = threshold_scores(p, y, np.array([chosen, 0.5]))
    for name in THRESHOLDS:
        after, before = scores[name]
        shown = f"f1 of {label}" if name == "f1" else name
        click.echo(f"  {shown:<18} {after:.4f}  (at 0.5: {before:.4f})  on {part.name}")


# --- rows --------------------------------------------------------------------------------------------


def _show_worst(committee: Committee, prediction: Array, part: Part, file: Path) -> None:
    rows = worst(prediction, part.y, committee.task, WORST)
    words = committee.first.words().table(prediction[rows])
    table, labels = [], _targets(committee)
    for position, row in enumerate(rows):
        predicted = words.iloc[position]
        line: dict[str, Any] = {
            "row": part.numbers[row],
            **_true(committee, part.y[row], list(words.columns)),
        }
        line |= {
            f"predicted {name}" if i < labels else name: predicted[name]
            for i, name in enumerate(words.columns)
        }
        if hasattr(part.x, "columns"):
            line |= {str(name): part.x[name].iloc[row] for name in part.x.columns}
        table.append(line)
    _write(file, table)
    if not table:
        click.echo("no row is predicted wrong")
        return
    click.echo(f"the worst mistakes ({len(table)} in {file.name}):")
    for line in table[:SHOWN]:
        shown = list(line.items())[: 1 + len(words.columns) + labels]
        click.echo("  " + ", ".join(f"{name} {_short(value)}" for name, value in shown))


def _targets(committee: Committee) -> int:
    return 1 if committee.task == "classification" else committee.first.shapes.outputs


def _true(committee: Committee, y: Any, columns: Sequence[str]) -> dict[str, Any]:
    if committee.task == "classification":
        return {f"true {columns[0]}": committee.first.encoder.target.labels(np.array([y]))[0]}
    return {f"true {name}": value for name, value in zip(columns, y.tolist(), strict=False)}


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


def _write(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        if rows:
            writer = csv.DictWriter(opened, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


# --- inputs ------------------------------------------------------------------------------------------


def _show_importance(
    committee: Committee,
    metrics: Mapping[str, Metric],
    part: Part,
    repeats: int,
    rng: np.random.Generator,
    folder: Path,
) -> None:
    names = committee.inputs()
    if committee.first.shapes.image is not None or len(names) > MOST_INPUTS:
        what = (
            "the inputs are images" if committee.first.shapes.image else f"{len(names):,} inputs are too many"
        )
        click.echo(f"no permutation importance: {what}")
        return
    rows = np.sort(rng.permutation(len(part))[:IMPORTANCE_ROWS])
    x: Any = part.x.iloc[rows] if hasattr(part.x, "iloc") else np.asarray(part.x[rows])
    y, name = part.y[rows], MAIN[committee.task]
    metric = metrics[name]
    sign = -1 if name in SMALLER_IS_BETTER else 1

    def permuted(position: int, order: Any) -> Array:
        if hasattr(x, "columns"):
            column = names[position]
            return committee.predict(x.assign(**{column: x[column].to_numpy()[order]}))
        changed = x.copy()
        changed[:, position] = x[order, position]
        return committee.predict(changed)

    def score(prediction: Array) -> float:
        return sign * float(metric.compute(prediction, y))

    found = importances(names, permuted, score, committee.predict(x), repeats, rng)
    worse = f"{name} {'rises' if sign < 0 else 'falls'}"
    columns = ("input", f"{worse} by", "standard deviation")
    _write(
        folder / "importance.csv",
        [dict(zip(columns, (one.name, one.mean, one.deviation), strict=True)) for one in found],
    )
    click.echo(f"{worse} if an input is permuted ({repeats} repeats, {len(rows):,} rows):")
    for line in _lines(found[:SHOWN]):
        click.echo(f"  {line}")
    from ..figures.evaluation import draw_importance

    means, deviations = (np.array([getattr(one, key) for one in found]) for key in ("mean", "deviation"))
    file = folder / "importance.png"
    draw_importance([one.name for one in found], means, deviations, name, len(rows), file)


def _lines(found: Iterable[Importance]) -> list[str]:
    width = max(len(one.name) for one in found)
    return [f"{one.name:<{width}}  {_number(one.mean)} ± {_number(one.deviation)}" for one in found]


# --- figures -----------------------------------------------------------------------------------------


def _draw(committee: Committee, prediction: Array, part: Part, folder: Path) -> None:
    from ..figures.evaluation import draw_calibration, draw_values
    from ..figures.run import draw_matrix

    target, y = committee.first.encoder.target, part.y
    if committee.task == "regression":
        draw_values(prediction, y, committee.first.words().columns, folder / "predicted_true.png")
        return
    calibration = folder / "calibration.png"
    if committee.task == "multilabel":
        draw_calibration(prediction.ravel(), y.ravel(), "Calibration, all classes", calibration)
        return
    n, predicted = len(target.class_names), prediction.argmax(1)
    counts = np.bincount(y * n + predicted, minlength=n * n).reshape(n, n)
    draw_matrix(counts, target.class_names, "confusion matrix", folder / "confusion_matrix.png")
    if committee.first.predicts_scores:
        return
    if n == 2:
        draw_calibration(prediction[:, 1], y, f"Calibration of p({target.class_names[1]})", calibration)
    else:
        title = "Calibration of the most probable class"
        draw_calibration(prediction.max(1), predicted == y, title, calibration)
