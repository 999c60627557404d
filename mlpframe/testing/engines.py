"""What holds for every engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..api import Block, Losses
from ..network import Network, build_layers
from ..optim import Updater
from ..registry import registries
from ..rng import Streams
from .components import exercise
from .kit import Skipped, Subject, check, require, require_close
from .running import N_IN, N_OUT, draw_data

BATCHES = (1, 4)
NETWORKS: tuple[tuple[str, tuple[Any, ...], str], ...] = (
    ("a linear network", ("linear",), "cross_entropy"),
    ("a sigmoid network", ({"name": "linear", "units": 5}, "sigmoid", "linear"), "cross_entropy"),
    (
        "a network of two hidden layers",
        (
            {"name": "linear", "units": 5},
            "tanh",
            {"name": "linear", "units": 4},
            "relu",
            "linear",
        ),
        "cross_entropy",
    ),
    ("a softmax network", ({"name": "linear", "units": 5}, "sigmoid", "linear", "softmax"), "nll"),
    ("a regression", ({"name": "linear", "units": 5}, "tanh", "linear"), "mse"),
)
OPTIMIZERS: tuple[Any, ...] = (
    "sgd",
    "momentum",
    {"name": "sgd", "weight_decay": 0.1},
    {"name": "sgd", "clip_norm": 0.5},
    "adam",
)


def trained(
    engine: str, layers: Any, loss: str, optimizer: Any, batch: int
) -> tuple[Any, Losses, str | None]:
    """Parameters and losses after two blocks of steps, or why the engine refuses."""
    data = draw_data("regression" if loss == "mse" else "classification")
    made = registries["loss"].create(loss)
    network = Network(build_layers(layers, N_OUT), made, N_IN, data.train.y, "float64", Streams(0))
    updater = Updater(registries["optimizer"].create(optimizer), network)
    one = registries["engine"].create(engine)
    reason = one.refuses(network, updater)
    if reason is not None:
        return network.w, Losses(), reason
    one.bind(network, updater)
    losses = Losses()
    rows = np.random.default_rng(1).permutation(len(data.train))
    for start in (0, 12):
        part = rows[start : start + 12]
        rates = [0.1 / (1 + step) for step in range(-(-len(part) // batch))]
        (block,) = one.advance([Block(data.train, part, batch, rates)])
        losses.values += block.values
        losses.correct += block.correct
    return network.w, losses, None


def accepted(engine: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What the engine is tried on: words, and the arguments of ``trained``."""
    count, reason = 0, None
    for words, layers, loss in NETWORKS:
        for optimizer in OPTIMIZERS:
            for batch in BATCHES:
                case = layers, loss, optimizer, batch
                reason = trained(engine, *case)[2]
                if reason is None:
                    count += 1
                    yield f"{words}, {optimizer}, batch {batch}", case
    if not count:
        raise Skipped(f"it refuses every network that is tried; the last because {reason}")


@exercise("engine")
def use(subject: Subject) -> None:
    next(accepted(subject.name))


@check("engine")
def its_iterates_are_those_of_the_plain_engine(subject: Subject) -> None:
    """Whatever it does not refuse it trains like the engine ``numpy``: parameters, losses, correct rows."""
    for words, case in accepted(subject.name):
        w, losses, _ = trained(subject.name, *case)
        expected, others, _ = trained("numpy", *case)
        require_close(f"w ({words})", w, expected, rtol=1e-9, atol=1e-11)
        require_close(
            f"the losses ({words})", np.array(losses.values), np.array(others.values), rtol=1e-9, atol=1e-12
        )
        require(
            losses.correct == others.correct,
            f"{losses.correct} correct rows, expected {others.correct} ({words})",
        )
