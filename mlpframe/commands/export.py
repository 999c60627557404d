"""``mlpframe export``: the model of a run in a form that other programs use without mlpframe."""

from __future__ import annotations

from pathlib import Path

import click

from ..registry import UsageError
from ..runs.finding import find_run
from ..runs.folder import MODEL
from ..runs.predicting import CSV_OPTIONS, Words
from ..training.portable import write_python
from ..training.predictor import Predictor


@click.command("export")
@click.argument("run")
@click.option(
    "--python", "folder", type=Path, default=None, help="Folder for a Python file that needs NumPy alone."
)
def export(run: str, folder: Path | None) -> None:
    """Export the model of RUN, with everything that prediction needs: categories, dates, scaling, labels.

    --python writes weights.npz and model.py. `python model.py table.csv` prints predictions, and
    `Model().table(columns)` makes them in Python, from columns by name. Neither needs mlpframe.
    """
    if folder is None:
        raise UsageError("export: expected --python FOLDER")
    found = find_run(run, needs=MODEL)
    predictor = Predictor(found.model)
    dataset = found.config().get("dataset", {})
    options = {key: dataset[key] for key in CSV_OPTIONS if key in dataset}
    files = write_python(predictor, Words(predictor).columns, options, folder)
    click.echo("\n".join(map(str, files)))
