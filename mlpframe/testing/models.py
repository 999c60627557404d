"""Checks of every model."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from ..api import Model, Shapes, Spec, Table, UsageError
from ..registry import REQUIRED, registries
from ..training.network import Network, build_layers
from ..training.rng import Streams
from .components import exercise, own_options
from .kit import Skipped, Subject, check, require, require_finite

SHAPES = (
    Shapes(4, 3, "classification"),
    Shapes(1, 1, "regression"),
    Shapes(5, 2, "regression", codes={1: 6}),
    Shapes(64, 10, "classification", image=(8, 8)),
    Shapes(6, 4, "multilabel"),
)
LOSSES = {"classification": "cross_entropy", "multilabel": "binary_cross_entropy", "regression": "mse"}
ROWS = 6


def layers_for_all(model: Model) -> list[tuple[Shapes, Sequence[Spec]]]:
    """The model's layers for each of ``SHAPES`` that the model accepts."""
    accepted, reason = [], ""
    for shapes in SHAPES:
        try:
            accepted.append((shapes, model.layers(shapes)))
        except (ValueError, UsageError) as error:
            reason = str(error)
    if not accepted:
        raise Skipped(
            f"the model refuses all inputs and outputs that the kit tries, the last because: {reason}"
        )
    return accepted


def draw_table(shapes: Shapes) -> Table:
    """Random inputs and targets for the task. Inputs listed in ``shapes.codes`` are category numbers."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, shapes.inputs))
    for position, count in shapes.codes.items():
        x[:, position] = rng.integers(0, count, ROWS)
    if shapes.task == "classification":
        return Table(x, rng.integers(0, shapes.outputs, ROWS))
    if shapes.task == "multilabel":
        return Table(x, rng.integers(0, 2, (ROWS, shapes.outputs)).astype(np.float64))
    return Table(x, rng.standard_normal((ROWS, shapes.outputs)))


@exercise("model")
def use(subject: Subject) -> None:
    layers_for_all(subject.create())


@check("model")
def layers_connect_inputs_and_outputs(subject: Subject) -> None:
    """The layers can be built and have the right number of outputs, and a training step has a finite loss."""
    for shapes, specs in layers_for_all(subject.create()):
        table = draw_table(shapes)
        loss = registries["loss"].create(LOSSES[shapes.task])
        layers = build_layers(specs, shapes.outputs)
        network = Network(layers, loss, shapes.inputs, table.y, "float64", Streams(0))
        outputs = network.widths[-1]
        require(outputs == shapes.outputs, f"the layers have {outputs} outputs, expected {shapes.outputs}")
        plan = network.plan(ROWS, training=True)
        plan.fill(table, np.arange(ROWS))
        require_finite("the loss of a training step", plan.step())
        require_finite("the gradient of a training step", network.g)


@check("model")
def equal_options_give_equal_layers(subject: Subject) -> None:
    """The same options give equal lists of layers, from the same instance and from another instance."""
    model = subject.create()
    first = deepcopy(layers_for_all(model))
    require(layers_for_all(model) == first, "a second call of layers() returns different layers")
    require(layers_for_all(subject.create()) == first, "another instance has different layers")


@check("model")
def options_are_not_changed(subject: Subject) -> None:
    """The model changes neither the options that it is given nor their defaults."""
    defaults = {option.name: option.default for option in own_options(subject)}
    options: dict[str, Any] = {name: value for name, value in defaults.items() if value is not REQUIRED}
    options = deepcopy({**options, **subject.options})
    before = deepcopy((options, defaults))
    layers_for_all(registries["model"].create(subject.name, **options))
    layers_for_all(subject.create())
    for now, then in zip((options, defaults), before, strict=True):
        changed = [name for name in then if now[name] != then[name]]
        require(not changed, f"the model changes its option {', '.join(changed)}; work on a copy")
