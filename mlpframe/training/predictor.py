"""A trained model in one file without pickle, and its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..api import Array, Shapes, UsageError, multi_hot
from ..discovery import load_plugins
from ..registry import registries
from . import checkpoint
from .data.missing import filled
from .data.prepare import Data
from .network import Network, create_layers
from .rng import Streams


def save_model(
    path: Path, network: Network, data: Data, model: dict[str, Any], loss: dict[str, Any]
) -> dict[str, Any]:
    """Write a network with everything that prediction needs; returns the model's description."""
    arrays = {"w": network.w, **{f"state/{name}": array for name, array in network.state.items()}}
    if data.shift is not None and data.scale is not None:
        arrays |= {"shift": data.shift, "scale": data.scale}
    if data.fill is not None:
        arrays["fill"] = data.fill
    about = {
        "model": model,
        "loss": loss,
        "shapes": asdict(data.splits.shapes),
        "dtype": str(network.dtype),
        "class_names": data.splits.class_names,
        "feature_names": data.splits.feature_names,
        "code_names": data.splits.code_names,
    }
    checkpoint.save(path, arrays, about)
    return about


class Predictor:
    """A trained model, loaded from the file that ``save_model`` wrote."""

    def __init__(self, path: Path) -> None:
        load_plugins()  # the model consists of plugins
        arrays, self.about = checkpoint.load(path)
        about = self.about
        self.shapes = shapes = _read_shapes(about)
        classifies = shapes.task == "classification"
        target = np.empty(0, np.intp) if classifies else np.empty((0, shapes.outputs))
        layers = create_layers(about["model"], shapes)
        loss = registries["loss"].create(about["loss"])
        self._network = Network(layers, loss, shapes.inputs, target, about["dtype"], Streams(0))
        self._network.w[...] = arrays["w"]
        for name, array in self._network.state.items():
            array[...] = arrays[f"state/{name}"]
        self._fill = arrays.get("fill")
        self._shift, self._scale = arrays.get("shift"), arrays.get("scale")

    def predict(self, x: Array) -> Array:
        """Class probabilities ``(n, classes)`` or values ``(n, outputs)`` for raw ``x`` ``(n, features)``.

        If a row may have several classes (multilabel), each class has a probability of its own; the
        probabilities of a row need not sum to 1.
        """
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != self._network.n_in:
            raise UsageError(f"the model expects inputs of shape (rows, {self._network.n_in}), not {x.shape}")
        x = filled(x, self._fill)
        if self._shift is not None:
            x = (x - self._shift) / self._scale
        return self._network.loss.predict(self._network.outputs(x))

    def predict_classes(self, x: Array) -> Array:
        """The predicted classes for raw ``x`` ``(n, features)``.

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


def _read_shapes(about: Mapping[str, Any]) -> Shapes:
    if about["format"] == 0:  # mlpframe 0.1.0 had no Shapes
        return Shapes(about["n_in"], about["n_outputs"], about["task"])
    shapes = about["shapes"]
    codes = {int(position): count for position, count in shapes["codes"].items()}  # JSON has text keys only
    return Shapes(shapes["inputs"], shapes["outputs"], shapes["task"], codes, shapes["image"])
