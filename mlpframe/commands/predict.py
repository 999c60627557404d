"""``mlpframe predict``: the predictions of a run for the rows of a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from ..registry import UsageError
from ..runs.finding import find_run
from ..runs.folder import MODEL
from ..runs.predicting import existing, predict_file
from ..training.predictor import Predictor


@click.command("predict")
@click.argument("run")
@click.argument("file", type=Path)
@click.option("-o", "--out", type=Path, default=None, help="File to write; default: CSV to standard output.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=None,
    help="Predict the second of two classes if its probability is above this number.",
)
def predict(run: str, file: Path, out: Path | None, threshold: float | None) -> None:
    """Predict every row of FILE (.csv, .parquet, .npy or .npz) with the model of RUN, in the rows' order.

    A CSV file is read with the separator and number format of the run's training file. Columns are found by
    their names, and the target column may be missing. For a classification, the output has the label and the
    probability p(<label>) of each class; for multilabel, 0 or 1 and a probability for each class; for a
    regression, the values in the target's unit. The suffix of --out decides the format: .csv, .csv.gz,
    .parquet, or .npy. A .npy file has only the probabilities or values, as an array (rows, columns). FILE may
    be larger than memory.
    """
    if out is not None and out.exists() and out.samefile(existing(file)):
        raise UsageError(f"--out {out} is the file to read; expected another name")
    folder = find_run(run, needs=MODEL)
    note = partial(click.echo, err=True)
    rows = predict_file(
        Predictor(folder.model), file, folder.config().get("dataset", {}), out, note, threshold
    )
    if out is not None:
        click.echo(f"{rows:,} rows: {out}")
