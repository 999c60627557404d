"""A trained model in one file without pickle, and its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..api import Array, Metric, Shapes, Table, UsageError, multi_hot
from ..discovery import load_plugins
from ..registry import registries
from . import checkpoint
from .checkpoint import check_values
from .data.prepare import Data
from .data.table import Encoder, Scaling, Target, Words
from .network import Network, check_array, create_layers
from .rng import Streams

if TYPE_CHECKING:
    import pandas as pd


def save_model(
    path: Path, network: Network, data: Data, model: dict[str, Any], loss: dict[str, Any]
) -> dict[str, Any]:
    """Write a network with everything that prediction needs; returns the model's description."""
    arrays = {"w": network.w, **{f"state/{name}": array for name, array in network.state.items()}}
    encoder_arrays, encoder = data.encoder.state()
    arrays |= {f"encoder/{name}": array for name, array in encoder_arrays.items()}
    about = {
        "model": model,
        "loss": loss,
        "shapes": asdict(data.splits.shapes),
        "dtype": str(network.dtype),
        "encoder": encoder,
    }
    checkpoint.save(path, arrays, about)
    return about


TASK = {"classification", "multilabel", "regression"}
DTYPE = {"float32", "float64"}
SHAPES = {"inputs": int, "outputs": int, "task": TASK, "codes": dict, "image": (None, [int])}
TARGET = {"names": [str], "class_names": [str], "integer": bool}
ENCODER = {
    "columns": (None, [dict]),
    "names": [str],
    "encoding": {"one_hot", "codes"},
    "indicators": [int],
    "target": TARGET,
}
NAMES = {"class_names": [str], "feature_names": [str]}
FORMS: tuple[dict[str, Any], ...] = (
    {"n_in": int, "n_outputs": int, "task": TASK, "dtype": DTYPE, **NAMES},
    {"shapes": SHAPES, "dtype": DTYPE, **NAMES},
    {"shapes": SHAPES, "dtype": DTYPE, "loss": dict, "encoder": ENCODER},
    {"shapes": SHAPES, "dtype": DTYPE, "loss": dict, "encoder": ENCODER},
)
"""The form of a model's description in each format, see ``check_values``."""


class Predictor:
    """A trained model, loaded from the file that ``save_model`` wrote."""

    def __init__(self, path: Path) -> None:
        load_plugins()  # the model's layers and loss are plugins
        arrays, self.about = checkpoint.load(path)
        if "model" not in self.about:
            raise UsageError(f"{path} is a checkpoint and no model; a run's model is in model/model.npz")
        try:
            self._build(arrays, most=path.stat().st_size)
        except UsageError as error:
            raise UsageError(f"{path} holds no model that predicts: {str(error)[:400]}") from error

    def _build(self, arrays: Mapping[str, Array], most: int) -> None:
        """Build the network and the encoder that a file describes.

        Args:
            arrays: the arrays of the file.
            most: the most inputs or outputs; a network is not wider than its file has bytes.
        """
        about = self.about
        check_values("the description", about, FORMS[about["format"]])
        self.shapes = shapes = _read_shapes(about)
        if not (1 <= shapes.inputs <= most and 1 <= shapes.outputs <= most):
            raise UsageError(f"it has {shapes.inputs:,} inputs and {shapes.outputs:,} outputs")
        self.encoder = _read_encoder(arrays, about)
        self.encoder.check(shapes)
        classifies = shapes.task == "classification"
        target = np.empty(0, np.intp) if classifies else np.empty((0, shapes.outputs))
        layers = create_layers(about["model"], shapes)
        loss = registries["loss"].create(about["loss"])
        if shapes.task not in loss.tasks:
            raise UsageError(f"its loss {loss.name} is not for {shapes.task}")
        if "w" not in arrays:
            raise UsageError("it has no weights")
        self.network = Network(layers, loss, shapes.inputs, target, about["dtype"], Streams(0), w=arrays["w"])
        if self.network.widths[-1] != shapes.outputs:
            raise UsageError(f"its network has {self.network.widths[-1]} outputs, not {shapes.outputs}")
        for name, array in self.network.state.items():
            stored = arrays.get(f"state/{name}")
            if stored is None:
                raise UsageError(f"it lacks the array 'state/{name}'")
            check_array(f"state/{name}", stored, array.shape, array.dtype)
            array[...] = stored
        self.network.plan(1, training=False)  # raises if the loss's options do not fit the outputs

    def predict(self, x: Any) -> Array:
        """Class probabilities ``(n, classes)``, or values ``(n, outputs)`` in the target's unit.

        If a row may have several classes (multilabel), each class has a probability of its own; the
        probabilities of a row need not sum to 1.

        Args:
            x: raw inputs as in training: a data frame with the training table's columns, in any order, or an
                array ``(n, features)``.

        Raises:
            UsageError: the inputs do not fit the model.
        """
        self._check_inputs(x)
        outputs = self.network.outputs(self.encoder.inputs(x))
        return self.encoder.target.unscaled(self.network.loss.predict(outputs))

    @property
    def predicts_scores(self) -> bool:
        """Whether the predictions of a classification are scores that are not probabilities."""
        return self.network.loss.predicts_scores

    def predict_classes(self, x: Any) -> Array:
        """The predicted classes for raw inputs ``x``, as ``predict`` takes them.

        Returns:
            For a classification, the number of each row's most probable class ``(n,)``. For multilabel, 1 for
            each class whose probability is above 0.5 and else 0, ``(n, classes)``.

        Raises:
            UsageError: the model predicts the values of a regression.
        """
        if self.shapes.task == "regression":
            raise UsageError("the model predicts the values of a regression, which are no classes")
        prediction = self.predict(x)
        return multi_hot(prediction) if self.shapes.task == "multilabel" else prediction.argmax(-1)

    def predict_frame(self, x: Any) -> pd.DataFrame:
        """Predictions in the user's words, as a data frame with a row for each row of ``x``.

        Args:
            x: raw inputs, as ``predict`` takes them. The rows of a data frame keep their index.

        Returns:
            The columns that ``Words`` describes.
        """
        table = self.words().table(self.predict(x))
        return table.set_index(x.index) if hasattr(x, "columns") else table

    def words(self, threshold: float | None = None) -> Words:
        """Turns the model's predictions into a table; ``Words`` describes the threshold and its errors."""
        task, outputs = self.shapes.task, self.shapes.outputs
        scores = self.predicts_scores
        return Words(self.encoder.target, task, outputs, scores=scores, threshold=threshold)

    def evaluate(self, x: Any, y: Any, metrics: Mapping[str, Metric]) -> dict[str, float]:
        """The mean loss, and the scalar metrics that fit the task, for rows whose targets are known.

        Args:
            x: raw inputs, as ``predict`` takes them.
            y: the targets in the user's words, as ``Target.read`` takes them.
            metrics: the metrics by name.

        Raises:
            UsageError: inputs or targets do not fit the model.
        """
        target = self.encoder.target
        truth = target.read(y)
        self._check_inputs(x)
        if len(truth) != len(x) or len(truth) == 0:
            raise UsageError(f"expected one target for each row, not {len(truth)} for {len(x)} rows")
        if truth.ndim == 2 and truth.shape[1] != self.shapes.outputs:
            raise UsageError(f"the model predicts {self.shapes.outputs} values, and y has {truth.shape[1]}")
        network = self.network
        inputs = np.ascontiguousarray(self.encoder.inputs(x), network.dtype)
        scaled = target.scaled(truth)
        table = Table(inputs, scaled if scaled.ndim == 1 else scaled.astype(network.dtype))
        loss, outputs = network.evaluate(table)
        prediction = target.unscaled(network.loss.predict(outputs))
        values = {
            name: float(metric.compute(prediction, truth))
            for name, metric in metrics.items()
            if metric.scalar and self.shapes.task in metric.tasks
        }
        return {"loss": loss, **values}

    def arrays(self) -> dict[str, Array]:
        """The weights, and the layers' arrays that are not trained, such as running means, by name."""
        return {**self.network.views(self.network.w), **self.network.state}

    def _check_inputs(self, x: Any) -> None:
        if self.encoder.columns is None:
            raw_inputs = self.network.n_in - len(self.encoder.indicators)
            if np.ndim(x) != 2 or np.shape(x)[1] != raw_inputs:
                raise UsageError(f"the model expects inputs of shape (rows, {raw_inputs}), not {np.shape(x)}")


def _read_encoder(arrays: Mapping[str, Array], about: Mapping[str, Any]) -> Encoder:
    """The encoder of a model file. Before format 2, a file had only the arrays that scale and impute."""
    if about["format"] < 2:
        scaling = Scaling(*(arrays.get(name) for name in ("fill", "shift", "scale")))
        target = Target(class_names=tuple(about["class_names"]))
        return Encoder(names=tuple(about["feature_names"]), scaling=scaling, target=target)
    own = {
        name.removeprefix("encoder/"): array for name, array in arrays.items() if name.startswith("encoder/")
    }
    return Encoder.from_state(own, about["encoder"])


def _read_shapes(about: Mapping[str, Any]) -> Shapes:
    if about["format"] == 0:  # files of mlpframe 0.1.0 do not contain a ``Shapes``
        return Shapes(about["n_in"], about["n_outputs"], about["task"])
    shapes = about["shapes"]
    codes = {}
    for position, count in shapes["codes"].items():  # JSON has text keys only
        if not (position.isdecimal() and len(position) < 19 and isinstance(count, int) and count > 0):
            raise UsageError(f"shapes.codes has {position[:40]!r}: {str(count)[:40]}")
        codes[int(position)] = count
    image = shapes["image"]
    if image is not None and len(image) != 2:
        raise UsageError(f"shapes.image has {len(image)} numbers; expected height and width")
    return Shapes(shapes["inputs"], shapes["outputs"], shapes["task"], codes, image)
