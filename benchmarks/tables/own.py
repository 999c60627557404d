"""The contenders of mlpframe: they run the code of the command line in this process."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from mlpframe.registry import registries
from mlpframe.runs.compose import compose
from mlpframe.runs.folder import RunFolder
from mlpframe.runs.request import Request
from mlpframe.runs.train import train as train_runs
from mlpframe.training.predictor import Predictor

from .catalog import Task
from .contest import Contender, Prediction

QUIET = ("tracking=none", "threads=1", "callbacks.progress=null", "callbacks.checkpoint=null")
"""Settings that only save time and output; they do not change the results."""


def command(*overrides: str) -> Contender:
    """A contender that trains with the given overrides, plus the options for the file and the target.

    The test rows are in a separate table, so no training rows are held out for a test (``dataset.test=0``).
    The command still holds out some training rows for validation, and does not train on them.
    """

    def contender(train: pd.DataFrame, test: pd.DataFrame, target: str, task: Task, seed: int) -> Prediction:
        with TemporaryDirectory() as folder:
            files = {"train": Path(folder) / "train.csv", "test": Path(folder) / "test.csv"}
            train.to_csv(files["train"], index=False)
            test.to_csv(files["test"], index=False)
            given = [
                *overrides,
                f"dataset.file='{files['train']}'",
                f"dataset.target='{target}'",
                "dataset.test=0",
                f"seed={seed}",
                *QUIET,
            ]
            run = RunFolder(Path(folder) / "run")
            (outcome,) = train_runs([Request(compose(given), given, run)])
            if outcome.status == "diverged":
                return Prediction(np.full(len(test), np.nan))
            if outcome.status != "finished":
                raise RuntimeError(outcome.error)
            reader = registries["dataset"].create("csv", file=str(files["test"]))
            predictor = Predictor(run.path / "model" / "model.npz")
            return _predict(predictor, reader.read(files["test"]), task)

    return contender


def _predict(predictor: Predictor, test: pd.DataFrame, task: Task) -> Prediction:
    predicted = predictor.predict(test)
    if task == "regression":
        return Prediction(predicted[:, 0])
    labels = predictor.encoder.target.labels(np.arange(predicted.shape[1])).astype(str)
    return Prediction(labels[predicted.argmax(1)], pd.DataFrame(predicted, columns=labels))
