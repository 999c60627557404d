"""The models of the group ``model``: how a configuration becomes a list of layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .api import Layer, Spec, UsageError, check_range
from .network import build_layers
from .registry import nearest


class MLP:
    """A multilayer perceptron: linear layers with an activation between them.

    Options:
        hidden: units of the hidden layers, first to last; may be empty.
        activation: the layer after each hidden linear layer, a name or a mapping with name and options.
        init: initializer of all weights, a name or a mapping with name and options; biases start at 0.
        output: a layer after the last linear one (softmax for loss=nll); null: none.
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

    def specs(self) -> list[Spec]:
        layers: list[Spec] = []
        for units in self.hidden:
            layers += [{"name": "linear", "units": units, "init": self.init}, self.activation]
        layers.append({"name": "linear", "init": self.init})
        return layers if self.output is None else [*layers, self.output]


class Layers:
    """An explicit list of layers.

    Options:
        layers: names, or mappings with name and options; a linear layer without units is the output.
    """

    def __init__(self, *, layers: list[Any]) -> None:
        self.layers = layers

    def specs(self) -> list[Spec]:
        return list(self.layers)


MODELS: dict[str, type[MLP] | type[Layers]] = {"mlp": MLP, "layers": Layers}


def create_layers(config: Mapping[str, Any], n_outputs: int) -> list[Layer]:
    """The layers of a model configuration: its ``name`` and options."""
    options = dict(config)
    name = options.pop("name")
    if name not in MODELS:
        raise UsageError(f"there is no model {name!r}; {nearest(name, MODELS)}")
    try:
        model = MODELS[name](**options)
    except (ValueError, TypeError) as error:
        raise UsageError(f"model {name!r}: {error}") from error
    return build_layers(model.specs(), n_outputs)
