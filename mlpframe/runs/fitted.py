"""A finished run in Python: predict, evaluate, look at the curves of the training, save the model."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, final

import numpy as np
from omegaconf import OmegaConf

from ..api import Array, UsageError, multi_hot
from ..registry import nearest, registries
from ..training.history import History
from ..training.predictor import Predictor
from .compose import compose
from .finding import find_model
from .folder import RunFolder


@final
class Fitted:
    """A finished run, or only the model file of a finished run.

    Args:
        model: the model file.
        folder: the run's folder; ``None`` if only the model file is known.
    """

    def __init__(self, model: Path, folder: RunFolder | None) -> None:
        self._model = model
        self.predictor = Predictor(model)
        self.folder = None if folder is None else folder.path
        record = {} if folder is None else folder.read()
        self.metrics: dict[str, float] = record.get("metrics", {})
        """The last value of every metric of the run; empty for a model file."""

    def __repr__(self) -> str:
        shown = [name for name in self.metrics if name.startswith(("val/", "test/"))]
        values = "".join(f", {name} {self.metrics[name]:.4f}" for name in shown)
        return f"<mlpframe run: {self.predictor.shapes.task}{values}; {self.folder or self._model}>"

    @property
    def classes(self) -> Array:
        """The classes, in the order of the columns of ``predict_proba``; empty for a regression."""
        target = self.predictor.encoder.target
        if self.predictor.shapes.task == "multilabel":
            return np.array(target.class_names)
        return target.labels(np.arange(len(target.class_names)))

    def predict(self, x: Any) -> Array:
        """Predict the targets for the inputs ``x``.

        Args:
            x: raw inputs as in training: a data frame with the training table's columns, in any order, or an
                array ``(rows, features)``.

        Returns:
            For a classification, each row's most probable class ``(rows,)``, as the training table has it.
            For multilabel, 1 for each class whose probability is above 0.5 and else 0, ``(rows, classes)``.
            For a regression, values in the target's unit, ``(rows,)``, or ``(rows, outputs)`` if there are
            several targets.

        Raises:
            UsageError: the inputs do not fit the model.
        """
        prediction, task = self.predictor.predict(_rows(x)), self.predictor.shapes.task
        if task == "classification":
            return self.predictor.encoder.target.labels(prediction.argmax(1))
        if task == "multilabel":
            return multi_hot(prediction)
        return prediction[:, 0] if prediction.shape[1] == 1 else prediction

    def predict_proba(self, x: Any) -> Array:
        """The probability of every class, ``(rows, classes)``, for inputs ``x`` as ``predict`` takes them.

        Raises:
            UsageError: the inputs do not fit the model, or the model predicts the values of a regression.
        """
        if self.predictor.shapes.task == "regression":
            raise UsageError("a regression predicts values and no probabilities; use predict")
        return self.predictor.predict(_rows(x))

    def evaluate(self, x: Any, y: Any = None) -> dict[str, float]:
        """The loss and the run's metrics for rows whose targets are known.

        Args:
            x: raw inputs as ``predict`` takes them.
            y: the targets, as in training; or the names of the columns of ``x`` that hold them; ``None``: the
                columns of ``x`` that the model was trained to predict.

        Raises:
            UsageError: inputs or targets do not fit the model.
        """
        if hasattr(x, "columns") and (y is None or isinstance(y, str) or _are_names(y)):
            y = _columns(x, self.predictor.encoder.target.names if y is None else y)
        if y is None:
            raise UsageError("the targets are missing: evaluate(x, y)")
        return self.predictor.evaluate(_rows(x), y, self._metrics)

    @cached_property
    def _metrics(self) -> dict[str, Any]:
        """The run's metrics by name; for a model file alone, the metrics of the default configuration."""
        file = None if self.folder is None else self.folder / "config" / "config.yaml"
        config: Any = OmegaConf.load(file) if file is not None and file.is_file() else compose([])
        chosen = {name: options for name, options in config.metrics.items() if options is not None}
        registry = registries["metric"]
        return {str(name): registry.create({"name": name, **options}) for name, options in chosen.items()}

    @cached_property
    def history(self) -> History:
        """Every metric against the number of updates; empty for a model file."""
        file = None if self.folder is None else self.folder / "history" / "history.csv"
        return History.read_csv(file) if file is not None and file.is_file() else History()

    def plot(self) -> Any:
        """The curves of the run as a matplotlib ``Figure``: loss and metrics against updates."""
        from ..figures.run import plot_history  # imports matplotlib

        if not self.history.names():
            raise UsageError(f"{self._model}: the history of the run is not beside its model")
        return plot_history(self.history)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model file, which ``mlpframe.load`` and ``Predictor`` read, to ``path`` (``.npz``)."""
        target = Path(path)
        if target.suffix != ".npz":
            raise UsageError(f"{target}: a model file has the ending .npz")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._model, target)
        except OSError as error:
            raise UsageError(f"{target} cannot be written: {error.strerror}") from error


def load(run: str | PathLike[str]) -> Fitted:
    """A finished run.

    Args:
        run: the run's id or its beginning, its folder, ``latest``, a registered model, such as
            ``models:/price/3`` or ``models:/price@champion``, or a model file that ``save`` wrote.

    Raises:
        UsageError: there is no such run, or the run has no model.
    """
    return Fitted(*find_model(str(run)))


def _are_names(y: Any) -> bool:
    return isinstance(y, list | tuple) and bool(y) and all(isinstance(name, str) for name in y)


def _columns(frame: Any, names: str | Sequence[str]) -> Any:
    """The named column of a data frame, or the named columns if there are several names."""
    several = [names] if isinstance(names, str) else list(names)
    for name in several:
        if name not in frame.columns:
            raise UsageError(
                f"the table has no column {name!r}, which holds the target; "
                f"{nearest(name, map(str, frame.columns))}"
            )
    return frame[several[0]] if len(several) == 1 else frame[several] if several else None


def _rows(x: Any) -> Any:
    """The inputs as the model takes them: images ``(rows, height, width)`` become rows of pixels."""
    if hasattr(x, "columns"):
        return x
    array = np.asarray(x)
    return array.reshape(len(array), -1) if array.ndim == 3 else array
