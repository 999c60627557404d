"""What an evaluation needs: one model or a committee of models, and rows with their true targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import Array, Metric, Npz, Splits, Table, UsageError, nearest
from ..api.component import Task
from ..registry import registries
from ..tracking.messages import data_parts
from ..training.checkpoint import check_values
from ..training.data.prepare import data_folder, load_data, load_held_out
from ..training.data.table.columns import LeftOut, numbers
from ..training.predictor import Predictor
from ..training.rng import Streams
from .build import converted
from .folder import CONFIG, RunFolder
from .predicting import array_of, existing, file_format, frame_dataset, model_inputs

METRICS: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "log_loss", "f1", "roc_auc", "calibration_error"),
    "multilabel": ("subset_accuracy", "hamming_loss", "f1", "roc_auc"),
    "regression": ("rmse", "mae", "r2"),
}
"""The metrics of an evaluation, in addition to those of the run."""
USED = {
    "dataset": {"name": str},
    "loss": {"name": str},
    "data_dir": (None, str),
    "final": bool,
    "seed": int,
    "dtype": {"float32", "float64"},
}
"""The settings of a run that its evaluation uses, see ``check_values``."""
OF_PROBABILITIES = ("log_loss", "calibration_error", "brier")
"""Metrics that make no sense for scores that are not probabilities."""


@dataclass(frozen=True)
class Part:
    """Rows with their true targets.

    Args:
        name: which rows these are, in words: "the test part", or the name of a file.
        x: raw inputs, a data frame or an array.
        y: class numbers ``(n,)``; for a regression, values ``(n, outputs)``; for multilabel, 0 or 1 for each
            class ``(n, outputs)``.
        numbers: the number of each row in the file or data set that the rows come from, counted from 1.
        notes: sentences to print for the user.
    """

    name: str
    x: Any
    y: Array
    numbers: NDArray[np.intp]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.y)


class Committee:
    """One model, or several models whose predictions are averaged.

    p = (p₁ + … + p_M) / M: the mean of the probabilities, or of the values of a regression.

    Raises:
        UsageError: the models predict different classes or targets.
    """

    def __init__(self, folders: Sequence[RunFolder]) -> None:
        self.folders = tuple(folders)
        self.members = tuple(Predictor(folder.model) for folder in folders)
        first = self.first
        for folder, member in zip(self.folders, self.members, strict=True):
            mine, others = _predicts(first), _predicts(member)
            if mine != others:
                raise UsageError(
                    f"{folder.path} predicts {others}, but {self.folders[0].path} predicts {mine}; "
                    "the runs of a committee must predict the same"
                )

    @property
    def first(self) -> Predictor:
        return self.members[0]

    @property
    def task(self) -> Task:
        return self.first.shapes.task

    def predict(self, x: Any) -> Array:
        """The mean prediction, ``(n, outputs)``."""
        return np.asarray(np.mean(self.each(x), axis=0))

    def each(self, x: Any) -> list[Array]:
        """The prediction of every member."""
        return [member.predict(x) for member in self.members]

    def inputs(self) -> list[str]:
        """The names of the columns that at least one member uses, or of an array's features."""
        encoder = self.first.encoder
        if encoder.columns is None:
            raw_inputs = self.first.shapes.inputs - len(encoder.indicators)
            return list(encoder.names) or [f"input {i}" for i in range(raw_inputs)]
        used = [
            column.name
            for member in self.members
            for column in member.encoder.columns or ()
            if not isinstance(column, LeftOut)
        ]
        return list(dict.fromkeys(used))


def _predicts(predictor: Predictor) -> str:
    target = predictor.encoder.target
    names = f" of {', '.join(target.names)}" if target.names else ""
    if target.class_names:
        return f"the classes {', '.join(target.class_names[:20])}{names}"
    return f"{predictor.shapes.outputs} values{names}"


def metrics_for(committee: Committee, config: Mapping[str, Any]) -> dict[str, Metric]:
    """The scalar metrics of every evaluation and of the run's configuration, if defined for the task."""
    configured = {name: options for name, options in (config.get("metrics") or {}).items() if options}
    metrics = {}
    for name in dict.fromkeys([*METRICS[committee.task], *configured]):
        metric: Any = registries["metric"].create(configured.get(name, name))
        if not metric.scalar or committee.task not in metric.tasks:
            continue
        if not (committee.first.predicts_scores and name in OF_PROBABILITIES):
            metrics[name] = metric
    return metrics


# --- rows that the run has held out ------------------------------------------------------------------


def held_out(folders: Sequence[RunFolder], committee: Committee) -> tuple[Part, Part | None]:
    """The rows on which to evaluate, and the rows on which to choose a threshold, if these are other rows.

    The rows to evaluate are the test part of the runs, or the validation part if they have no test part. The
    threshold of a single run with a test part is chosen on the validation part. In any other case, there are
    no rows for the threshold (``None``).

    Raises:
        UsageError: a run has no such part, its data are not there, or several runs held out different rows.
    """
    parts, tuning = _held_out(folders[0], committee.first)
    for folder, member in zip(folders[1:], committee.members[1:], strict=True):
        other, _ = _held_out(folder, member)
        if not (np.array_equal(other.y, parts.y) and _same(other.x, parts.x)):
            raise UsageError(
                f"{parts.name} of {folders[0].path} and of {folder.path} have different rows, so each run "
                "may have been trained on rows that the other held out; expected a FILE, or runs that held "
                "out the same rows (dataset.split=last, or dataset.test_file)"
            )
    return parts, tuning if len(folders) == 1 else None


def _held_out(folder: RunFolder, predictor: Predictor) -> tuple[Part, Part | None]:
    config = folder.config()
    if not config:
        raise UsageError(f"{folder.path} has no configuration, so its data are not known; expected a FILE")
    record = folder.read()
    check_values(f"{folder.path / CONFIG}", config, USED)
    if record.get("format", 0) < 2:
        check_values(f"{folder.path / CONFIG}", config, {"dataset": {"standardize": bool}})
        config = converted(config, predictor.shapes.task)
    options = config["dataset"]
    if options["name"] == "arrays":
        raise UsageError(f"{folder.path} was trained on arrays from Python; expected a FILE to evaluate on")

    def dataset() -> Any:
        return registries["dataset"].create(options)

    place, final = data_folder(config["data_dir"]), config["final"]
    splits, validation, test = load_held_out(dataset(), place, Streams(config["seed"]), final=final)
    if splits.class_names != predictor.encoder.target.class_names:
        raise UsageError(f"the data of {folder.path} have other classes now than in training")
    table = test if test is not None else validation
    if table is None:
        raise UsageError(f"{folder.path} held out no rows; expected a FILE to evaluate on")
    notes = _changed(config, dataset(), place, record)
    name = "the test part" if test is not None else "the validation part"
    if test is None:
        notes = (*notes, "the run may have been stopped or chosen by its validation part: expect worse")
    return (
        _part(name, table, splits, notes),
        _part("the validation part", validation, splits)
        if test is not None and validation is not None
        else None,
    )


def _changed(
    config: Mapping[str, Any], dataset: Any, place: Path, record: Mapping[str, Any]
) -> tuple[str, ...]:
    """A note for the user if the data set has changed since the run was trained; empty if it has not."""
    loss: Any = registries["loss"].create(config["loss"])
    data = load_data(
        dataset,
        place,
        config["dtype"],
        Streams(config["seed"]),
        final=config["final"],
        scale_target=loss.measures_distance,
    )
    now = {part.context: part.digest for part in data_parts(data)}
    if record.get("data", now) == now:
        return ()
    return (
        "the data are not those that the run was trained on (or another version of NumPy prepared them), "
        "so rows of this part may have been training rows",
    )


def _part(name: str, table: Table, splits: Splits, notes: tuple[str, ...] = ()) -> Part:
    frame: Any = table.x
    positions = frame.index.to_numpy() if splits.columns is not None else np.arange(len(table))
    return Part(name, table.x, table.y, positions + 1, notes)


def _same(first: Any, second: Any) -> bool:
    return bool(first.equals(second) if hasattr(first, "equals") else np.array_equal(first, second))


# --- rows of a file ----------------------------------------------------------------------------------


def read_part(path: Path, dataset: Mapping[str, Any], predictor: Predictor) -> Part:
    """Read the rows of a file and their true targets. Rows without a target are left out.

    Args:
        path: a CSV or Parquet file with the target columns, or a .npz file with the arrays x and y.
        dataset: the options of the run's data set, such as the separator of its CSV files.
        predictor: the model.

    Raises:
        UsageError: the file cannot be read, or has no targets that the model knows.
    """
    form = file_format(existing(path), ("csv", "parquet", "npz"))
    if form == "npz":
        x, y = _arrays(path, dataset, predictor)
    else:
        x, y = _columns(frame_dataset(form, path, dataset).read(path), path, predictor)
    known = y >= 0 if y.ndim == 1 else ~np.asarray(np.isnan(y)).any(1)
    rows = np.flatnonzero(known)
    if not len(rows):
        raise UsageError(f"{path} has no row with a target")
    notes: tuple[str, ...] = ()
    if own := _own_file(path, dataset):
        notes = (f"{path} is dataset.{own} of the run, so the run may have been trained on its rows",)
    if left_out := len(y) - len(rows):
        notes = (
            *notes,
            f"{left_out:,} rows without a target are left out",
        )
    x = x.iloc[rows] if hasattr(x, "iloc") else x[rows]
    return Part(str(path), model_inputs(predictor, x), y[rows], rows + 1, notes)


def _own_file(path: Path, dataset: Mapping[str, Any]) -> str | None:
    """The data set's option that names this file, if the run used the file for training or for validation."""
    for option in ("file", "validation_file"):
        named = dataset.get(option)
        if named and Path(named).expanduser().resolve() == path.resolve():
            return option
    return None


def _columns(frame: Any, path: Path, predictor: Predictor) -> tuple[Any, Array]:
    target = predictor.encoder.target
    names = target.class_names if predictor.shapes.task == "multilabel" else target.names
    if not names:
        raise UsageError(f"the target of the run has no name to find in {path}; expected a .npz file")
    for name in names:
        if name not in frame.columns:
            raise UsageError(f"{path} has no column {name!r}, the target; {nearest(name, frame.columns)}")
    if predictor.shapes.task == "classification":
        return frame, target.numbers(frame[names[0]])
    return frame, np.column_stack([numbers(frame[name], name) for name in names])


def _arrays(path: Path, dataset: Mapping[str, Any], predictor: Predictor) -> tuple[Array, Array]:
    with Npz(path) as arrays:
        x, y = (array_of(arrays, option, dataset) for option in ("x", "y"))
    if x.ndim < 2 or x.dtype.kind not in "biuf":
        raise UsageError(
            f"{path}: expected inputs of shape (rows, features), not {x.dtype} of shape {x.shape}"
        )
    if y.ndim not in (1, 2) or len(x) != len(y):
        raise UsageError(f"{path}: x has {len(x)} rows, and y has the shape {y.shape}")
    x = x.reshape(len(x), prod(x.shape[1:]))
    if predictor.shapes.task == "classification":
        if y.ndim == 2 and y.shape[1] != 1:
            raise UsageError(f"{path}: expected one label for each row, not y of shape {y.shape}")
        return x, predictor.encoder.target.numbers(y.reshape(-1))
    if y.dtype.kind not in "biuf":
        raise UsageError(f"{path}: the targets must be numbers, not {y.dtype}")
    return x, y.reshape(len(y), -1).astype(np.float64) if len(y) else y.reshape(0, predictor.shapes.outputs)
