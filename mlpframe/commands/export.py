"""``mlpframe export``: the model of a run in a form that other programs use without mlpframe."""

from __future__ import annotations

from pathlib import Path

import click

from ..registry import UsageError
from ..runs.finding import find_run
from ..runs.folder import MODEL, RunFolder
from ..runs.predicting import CSV_OPTIONS
from ..training.portable import write_python
from ..training.predictor import Predictor


@click.command("export")
@click.argument("run")
@click.option("--onnx", "file", type=Path, default=None, help="ONNX file to write, for any runtime of ONNX.")
@click.option(
    "--python", "folder", type=Path, default=None, help="Folder for a Python file that needs only NumPy."
)
def export(run: str, file: Path | None, folder: Path | None) -> None:
    """Export the model of RUN, with everything that prediction needs: categories, dates, scaling, labels.

    --onnx writes one ONNX file. It has an input for each column of the table: numbers in float64, categories
    as text, dates in whole seconds since 1970. NaN, the empty text and the date -2**63 are missing values.

    --python writes weights.npz and model.py. `python model.py table.csv` prints predictions, and
    `Model().table(columns)` makes them in Python, from columns by name. Neither needs mlpframe.
    """
    if file is None and folder is None:
        raise UsageError("export: expected --onnx FILE or --python FOLDER")
    found = find_run(run, needs=MODEL)
    predictor = Predictor(found.model)
    if file is not None:
        from ..training.onnx_model import write_onnx  # needs the package onnx

        write_onnx(predictor, file)
        click.echo(file)
    if folder is not None:
        click.echo("\n".join(map(str, _export_python(found, predictor, folder))))


def _export_python(run: RunFolder, predictor: Predictor, folder: Path) -> list[Path]:
    dataset = run.config().get("dataset", {})
    options = {key: dataset[key] for key in CSV_OPTIONS if key in dataset}
    return write_python(predictor, predictor.words().columns, options, folder)
