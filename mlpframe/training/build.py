"""Build a network that fits prepared data, and refuse a loss or a model that does not fit."""

from __future__ import annotations

from ..api import Loss, Spec, UsageError
from ..api.component import Task
from ..registry import registries
from .data.prepare import Data
from .network import Network, create_layers
from .rng import Streams

DEFAULT_LOSS: dict[Task, str] = {
    "classification": "cross_entropy",
    "multilabel": "binary_cross_entropy",
    "regression": "mse",
}
"""The loss of a run whose configuration names no loss."""


def build_network(
    model: Spec, data: Data, loss: Loss, dtype: str, streams: Streams, *, mixed: bool = False
) -> Network:
    """Build the network of a run.

    Args:
        model: the model's name, or a mapping with ``name`` and options.
        data: the prepared data, which determine the network's numbers of inputs and outputs.
        loss: the loss that training minimizes.
        dtype: of parameters and arithmetic, float32 or float64.
        streams: the run's random streams.
        mixed: whether a transform mixes rows, so that targets are probabilities.

    Raises:
        UsageError: the loss or the model does not fit the data.
    """
    task, outputs = data.splits.task, data.splits.n_outputs
    if task not in loss.tasks:
        losses = registries["loss"]
        allowed_losses = [name for name in losses.names() if task in losses[name].tasks]  # type: ignore[attr-defined]
        noun = " task" if task == "multilabel" else ""
        raise UsageError(
            f"loss={loss.name} is for {' and '.join(loss.tasks)}, but dataset={data.name} is a {task}{noun}; "
            f"losses for {task}: {', '.join(allowed_losses)}"
        )
    if mixed and not loss.takes_probabilities:
        losses = registries["loss"]
        allowed_losses = [
            name
            for name in losses.names()
            if losses[name].takes_probabilities and task in losses[name].tasks  # type: ignore[attr-defined]
        ]
        raise UsageError(
            f"a transform mixes rows, so targets are probabilities, which loss={loss.name} does not accept; "
            f"losses that accept probabilities: {', '.join(allowed_losses)}"
        )
    layers = create_layers(model, data.splits.shapes)
    weighted = data.train.weights is not None
    n_in, y = data.train.x.shape[1], data.train.y
    network = Network(layers, loss, n_in, y, dtype, streams, weighted=weighted, mixed=mixed)
    if network.widths[-1] != outputs:
        raise UsageError(
            f"the model has {network.widths[-1]} outputs, but dataset={data.name} needs {outputs}"
        )
    network.plan(1, training=False)  # raises an error if the loss's options do not fit the number of outputs
    return network
