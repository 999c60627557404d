"""The model ``mlp``."""

from __future__ import annotations

from collections.abc import Sequence

from mlpframe.api import Model, Shapes, Spec, check_range, register


@register("mlp")
class MLP(Model):
    """A multilayer perceptron: linear layers with an activation between them.

    y = W_L a(… a(W_1 x + b_1) …) + b_L

    Options:
        hidden: units of the hidden layers, first to last; may be empty.
        activation: the layer after each hidden linear layer, a name or a mapping with name and options.
        init: initializer of all weights, a name or a mapping with name and options; biases start at 0.
        output: a layer after the last linear layer (softmax for loss=nll); null: none.
    """

    def __init__(
        self,
        *,
        hidden: list[int] = [100],  # noqa: B006 - read as the option's default, never changed
        activation: Spec = "relu",
        init: Spec = "he",
        output: Spec | None = None,
    ) -> None:
        for units in hidden:
            check_range("hidden", units, minimum=1)
        self.hidden, self.activation, self.init, self.output = hidden, activation, init, output

    def layers(self, shapes: Shapes) -> Sequence[Spec]:
        layers: list[Spec] = []
        for units in self.hidden:
            layers += [{"name": "linear", "units": units, "init": self.init}, self.activation]
        layers.append({"name": "linear", "units": shapes.outputs, "init": self.init})
        return layers if self.output is None else [*layers, self.output]
