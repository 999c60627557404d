"""The model ``taper``."""

from __future__ import annotations

from collections.abc import Sequence

from mlpframe.api import Model, Shapes, Spec, check_range, register


@register("taper")
class Taper(Model):
    """Hidden layers, each with half of the units of the layer before.

    Options:
        first: units of the first hidden layer, at least 2.
    """

    def __init__(self, *, first: int = 8) -> None:
        check_range("first", first, minimum=2)
        self.first = first

    def layers(self, shapes: Shapes) -> Sequence[Spec]:
        layers: list[Spec] = []
        units = self.first
        while units > 1:
            layers += [{"name": "linear", "units": units}, "tanh"]
            units //= 2
        return [*layers, "linear"]
