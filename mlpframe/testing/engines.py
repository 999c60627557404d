"""Checks of every engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from ..api import Array, Block, Losses, Table, UsageError
from ..api.component import Task
from ..registry import registries
from ..training.network import Network, build_layers
from ..training.optim import Updater
from ..training.rng import Streams
from .components import exercise
from .kit import Skipped, Subject, check, require, require_close
from .running import N_IN, N_OUT, draw_data

BATCHES = (1, 4)
WEIGHTED = (False, True)
"""Whether the rows have weights in the loss."""
REPLICAS = (0, 2)
"""The number of stacked networks; 0 means one network that is not stacked."""
NETWORKS: tuple[tuple[str, tuple[Any, ...], str], ...] = (
    ("a linear network", ("linear",), "cross_entropy"),
    ("a linear regression", ("linear",), "mse"),
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
        "a network with dropout",
        ({"name": "linear", "units": 5}, "sigmoid", {"name": "dropout", "rate": 0.3}, "linear"),
        "cross_entropy",
    ),
    (
        # Batch normalization cancels a bias before it, so the bias's gradient would be only rounding errors.
        "a network with batch normalization",
        ({"name": "linear", "units": 5, "bias": False}, "batch_norm", "relu", "linear"),
        "cross_entropy",
    ),
    ("a regression", ({"name": "linear", "units": 5}, "tanh", "linear"), "mse"),
    ("a multilabel network", ({"name": "linear", "units": 5}, "tanh", "linear"), "binary_cross_entropy"),
)
TASKS: dict[str, Task] = {"mse": "regression", "binary_cross_entropy": "multilabel"}
"""The task that each loss is tried on. A loss that is not listed here is tried on a classification."""
OPTIMIZERS: tuple[Any, ...] = (
    "sgd",
    "momentum",
    {"name": "sgd", "weight_decay": 0.1},
    {"name": "sgd", "clip_norm": 0.5},
    {"name": "sgd", "clip_each": 0.2},
    {"name": "momentum", "rates": {"0.*": 0.5}},
    "adam",
)


class Setup(NamedTuple):
    """A network and its training, as a test case for engines. ``replicas`` = 0 means no stacked networks."""

    layers: tuple[Any, ...]
    loss: str
    optimizer: Any
    batch: int
    weighted: bool
    replicas: int


def build(setup: Setup, numbers: Sequence[int]) -> tuple[list[Network], list[Updater], Table]:
    """Build a network and its updater for each seed in ``numbers``, and the rows to train on.

    The networks are not stacked. An updater changes a network's weights with the optimizer.
    """
    table = draw_data(TASKS.get(setup.loss, "classification")).train
    if setup.weighted:
        weights = np.random.default_rng(2).uniform(0.1, 2, len(table))
        table = Table(table.x, table.y, weights / weights.mean())
    layers, loss = build_layers(setup.layers, N_OUT), registries["loss"].create(setup.loss)
    optimizer = registries["optimizer"].create(setup.optimizer)
    networks = [
        Network(layers, loss, N_IN, table.y, "float64", Streams(number), weighted=setup.weighted)
        for number in numbers
    ]
    return networks, [Updater(optimizer, network) for network in networks], table


def trained(engine: str, setup: Setup, first: int = 0) -> list[tuple[Array, Losses]] | str:
    """Train with the engine on two blocks (consecutive batches) of rows.

    Returns the parameters and the losses of each network, or the engine's reason for refusing the networks.
    The networks are numbered from ``first``. The number determines a network's initial weights, its order of
    rows, and its learning rates.
    """
    numbers = range(first, first + max(1, setup.replicas))
    networks, updaters, table = build(setup, numbers)
    network, updater = networks[0], updaters[0]
    if setup.replicas:
        try:
            network = Network.stacked(networks)
        except UsageError as error:
            return str(error)
        updater = Updater.stacked(updaters, network)
    created = registries["engine"].create(engine)
    reason: str | None = created.refuses(network, updater)
    if reason is not None:
        return reason
    created.bind(network, updater)
    losses = [Losses() for _ in numbers]
    orders = [np.random.default_rng([1, number]).permutation(len(table)) for number in numbers]
    for start in (0, 12):
        blocks = []
        for number, order in zip(numbers, orders, strict=True):
            part = order[start : start + 12]
            rates = [0.1 / (1 + number) / (1 + step) for step in range(-(-len(part) // setup.batch))]
            blocks.append(Block(table, part, setup.batch, rates))
        for so_far, block in zip(losses, created.advance(blocks), strict=True):
            so_far.values += block.values
            so_far.correct += block.correct
    return [(created.w, so_far) for created, so_far in zip(networks, losses, strict=True)]


def one_thread() -> Any:
    """Limit BLAS to one thread inside the ``with`` statement, because an engine may require one thread."""
    return threadpool_limits(1, user_api="blas")


def accepted(
    engine: str, optimizers: tuple[Any, ...] = OPTIMIZERS
) -> Iterator[tuple[str, Setup, list[tuple[Array, Losses]]]]:
    """The cases that the engine accepts: a description, the setup, and the results of every network."""
    count, reason = 0, ""
    for (words, layers, loss), optimizer in product(NETWORKS, optimizers):
        for batch, weighted, replicas in product(BATCHES, WEIGHTED, REPLICAS):
            setup = Setup(layers, loss, optimizer, batch, weighted, replicas)
            results = trained(engine, setup)
            if isinstance(results, str):
                reason = results
                continue
            count += 1
            rows = ", rows with weights" if weighted else ""
            stacked = f", {replicas} stacked" if replicas else ""
            yield f"{words}, {optimizer}, batch {batch}{rows}{stacked}", setup, results
    if not count:
        raise Skipped(f"the engine refuses every network that the kit tries, the last because: {reason}")


@exercise("engine")
def use(subject: Subject) -> None:
    with one_thread():
        _, setup, _ = next(accepted(subject.name))
        for _ in accepted(subject.name, (setup.optimizer,)):
            pass


@check("engine")
def answers_have_the_right_types(subject: Subject) -> None:
    """``priority`` is an integer, ``refuses`` returns a reason or ``None``, and ``suits`` returns a bool."""
    engine = subject.create()
    require(type(engine.priority) is int, f"priority is {engine.priority!r}, expected a whole number")
    for words, layers, loss in NETWORKS:
        (network,), (updater,), _ = build(Setup(layers, loss, "sgd", 1, False, 0), [0])
        with one_thread():
            reason = engine.refuses(network, updater)
            suits = [engine.suits(network, batch) for batch in BATCHES] if reason is None else []
        right = reason is None or (isinstance(reason, str) and bool(reason))
        require(right, f"refuses returns {reason!r} ({words}), expected a reason in words or None")
        wrong = [answer for answer in suits if not isinstance(answer, bool | np.bool_)]
        require(not wrong, f"suits returns {wrong[:1]} ({words}), expected True or False")


@check("engine")
def training_equals_the_numpy_engine(subject: Subject) -> None:
    """The engine trains every network or stack that it accepts as ``numpy`` trains each network alone."""
    with one_thread():
        _compare(subject.name)


def _compare(engine: str) -> None:
    for words, setup, results in accepted(engine):
        for number, (w, losses) in enumerate(results):
            alone = trained("numpy", setup._replace(replicas=0), number)
            assert not isinstance(alone, str)
            ((expected, expected_losses),) = alone
            require_close(f"w ({words})", w, expected, rtol=1e-9, atol=1e-11)
            require_close(
                f"the losses ({words})",
                np.array(losses.values),
                np.array(expected_losses.values),
                rtol=1e-9,
                atol=1e-12,
            )
            require(
                losses.correct == expected_losses.correct,
                f"{losses.correct} correct rows, expected {expected_losses.correct} ({words})",
            )
