"""What holds for every engine."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ..api import Block, Losses, Table
from ..registry import registries
from ..training.network import Network, build_layers
from ..training.optim import Updater
from ..training.rng import Streams
from .components import exercise
from .kit import Skipped, Subject, check, require, require_close
from .running import N_IN, N_OUT, draw_data

BATCHES = (1, 4)
WEIGHTED = (False, True)
"""Whether rows have weights in the loss."""
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
    (
        "a network that drops",
        ({"name": "linear", "units": 5}, "sigmoid", {"name": "dropout", "rate": 0.3}, "linear"),
        "cross_entropy",
    ),
    (
        "a network that normalizes",
        ({"name": "linear", "units": 5}, "batch_norm", "relu", "linear"),
        "cross_entropy",
    ),
    ("a regression", ({"name": "linear", "units": 5}, "tanh", "linear"), "mse"),
)
OPTIMIZERS: tuple[Any, ...] = (
    "sgd",
    "momentum",
    {"name": "sgd", "weight_decay": 0.1},
    {"name": "sgd", "clip_norm": 0.5},
    {"name": "sgd", "clip_each": 0.2},
    {"name": "momentum", "rates": {"0.*": 0.5}},
    "adam",
)


def build(layers: Any, loss: str, optimizer: Any, weighted: bool) -> tuple[Network, Updater, Table]:
    """A network, its optimizer, and the rows to train it on."""
    data = draw_data("regression" if loss == "mse" else "classification")
    table = data.train
    if weighted:
        weights = np.random.default_rng(2).uniform(0.1, 2, len(table))
        table = Table(table.x, table.y, weights / weights.mean())
    made = registries["loss"].create(loss)
    network = Network(
        build_layers(layers, N_OUT), made, N_IN, table.y, "float64", Streams(0), weighted=weighted
    )
    return network, Updater(registries["optimizer"].create(optimizer), network), table


def trained(
    engine: str, layers: Any, loss: str, optimizer: Any, batch: int, weighted: bool
) -> tuple[Any, Losses, str | None]:
    """Parameters and losses after two blocks of steps, or why the engine refuses."""
    network, updater, table = build(layers, loss, optimizer, weighted)
    one = registries["engine"].create(engine)
    reason = one.refuses(network, updater)
    if reason is not None:
        return network.w, Losses(), reason
    one.bind(network, updater)
    losses = Losses()
    rows = np.random.default_rng(1).permutation(len(table))
    for start in (0, 12):
        part = rows[start : start + 12]
        rates = [0.1 / (1 + step) for step in range(-(-len(part) // batch))]
        (block,) = one.advance([Block(table, part, batch, rates)])
        losses.values += block.values
        losses.correct += block.correct
    return network.w, losses, None


def one_thread() -> Any:
    """While it lasts, BLAS has one thread: an engine may ask for that."""
    return threadpool_limits(1, user_api="blas")


def accepted(engine: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What the engine is tried on: words, and the arguments of ``trained``."""
    count, reason = 0, None
    for words, layers, loss in NETWORKS:
        for optimizer in OPTIMIZERS:
            for batch, weighted in product(BATCHES, WEIGHTED):
                case = layers, loss, optimizer, batch, weighted
                reason = trained(engine, *case)[2]
                if reason is None:
                    count += 1
                    rows = ", rows with weights" if weighted else ""
                    yield f"{words}, {optimizer}, batch {batch}{rows}", case
    if not count:
        raise Skipped(f"it refuses every network that is tried; the last because {reason}")


@exercise("engine")
def use(subject: Subject) -> None:
    with one_thread():
        next(accepted(subject.name))


@check("engine")
def its_answers_are_of_their_types(subject: Subject) -> None:
    """``priority`` is a whole number; ``refuses`` returns a reason or ``None``, ``suits`` true or false."""
    engine = subject.create()
    require(type(engine.priority) is int, f"priority is {engine.priority!r}, expected a whole number")
    for words, layers, loss in NETWORKS:
        network, updater, _ = build(layers, loss, "sgd", weighted=False)
        with one_thread():
            reason = engine.refuses(network, updater)
            suits = [engine.suits(network, batch) for batch in BATCHES] if reason is None else []
        right = reason is None or (isinstance(reason, str) and bool(reason))
        require(right, f"refuses returns {reason!r} ({words}), expected a reason in words or None")
        wrong = [answer for answer in suits if not isinstance(answer, bool | np.bool_)]
        require(not wrong, f"suits returns {wrong[:1]} ({words}), expected True or False")


@check("engine")
def its_iterates_are_those_of_the_plain_engine(subject: Subject) -> None:
    """Whatever it does not refuse it trains like the engine ``numpy``: parameters, losses, correct rows."""
    with one_thread():
        _compare(subject.name)


def _compare(engine: str) -> None:
    for words, case in accepted(engine):
        w, losses, _ = trained(engine, *case)
        expected, others, _ = trained("numpy", *case)
        require_close(f"w ({words})", w, expected, rtol=1e-9, atol=1e-11)
        require_close(
            f"the losses ({words})", np.array(losses.values), np.array(others.values), rtol=1e-9, atol=1e-12
        )
        require(
            losses.correct == others.correct,
            f"{losses.correct} correct rows, expected {others.correct} ({words})",
        )
