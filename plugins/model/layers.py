"""The model ``layers``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlpframe.api import Model, Shapes, Spec, register


@register("layers")
class Layers(Model):
    """An explicit list of layers.

    Options:
        layers: the layers from input to output, each a name or a mapping with name and options; a linear
            layer without the option ``units`` gets as many units as the network has outputs.
    """

    examples = ({"layers": [{"name": "linear", "units": 3}, "tanh", "linear"]},)

    def __init__(self, *, layers: list[Any]) -> None:
        self._layers = layers

    def layers(self, shapes: Shapes) -> Sequence[Spec]:
        return list(self._layers)
