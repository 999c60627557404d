"""The model ``template``."""

from __future__ import annotations

from collections.abc import Sequence

from mlpframe.api import Model, Shapes, Spec, check_range, register


@register("template")
class Template(Model):
    """Hidden layers whose widths change evenly from the number of inputs to the number of outputs.

    The i-th of L hidden layers has n_in + (n_out − n_in) i / (L + 1) units, rounded.

    Options:
        depth: L, number of hidden layers, at least 0.
        activation: the layer after each hidden linear layer; a name, or a mapping with name and options.
    """

    def __init__(self, *, depth: int = 2, activation: Spec = "relu") -> None:
        check_range("depth", depth, minimum=0)
        self.depth, self.activation = depth, activation

    def layers(self, shapes: Shapes) -> Sequence[Spec]:
        step = (shapes.outputs - shapes.inputs) / (self.depth + 1)
        layers: list[Spec] = []
        for i in range(1, self.depth + 1):
            layers += [{"name": "linear", "units": round(shapes.inputs + i * step)}, self.activation]
        return [*layers, "linear"]  # without units, the width is the number of outputs
