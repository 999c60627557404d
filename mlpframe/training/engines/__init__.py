"""Engines: they run the training steps of a block."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ...api import Engine, UsageError
from ...registry import registries
from ..network import Network
from ..optim import Updater

P = ParamSpec("P")
T = TypeVar("T")


def create_engine(name: str | Engine, network: Network, updater: Updater, batch_size: int) -> Engine:
    """Create the engine ``name``.

    With ``auto``, create the engine of highest priority among the engines that compute the exact steps and
    suit the network. If ``name`` is an engine already, use this engine.

    Raises:
        UsageError: the engine does not exist, is not exact for this network and optimizer, or raises an error
            when asked.
    """
    if name == "auto":
        engine = _suitable(network, updater, batch_size)
    else:
        engine = registries["engine"].create(name)  # type: ignore[arg-type]
        reason = _ask(engine, engine.refuses, network, updater)
        if reason is not None:
            raise UsageError(f"engine={engine.name} cannot run this configuration: {reason}; use engine=auto")
    engine.bind(network, updater)
    return engine


def _suitable(network: Network, updater: Updater, batch_size: int) -> Engine:
    """The engine that ``auto`` takes; at least ``numpy``, which suits every network and refuses none."""
    registry = registries["engine"]
    engines: list[Engine] = [registry.create(name) for name in registry.names()]
    for engine in engines:
        if not isinstance(engine.priority, int):
            raise UsageError(
                f"engine {engine.name!r}: priority must be a whole number, not {engine.priority!r}\n"
                f"{_correct(engine)}"
            )
    engines.sort(key=lambda engine: -engine.priority)  # stable: equal priorities stay in the order of names
    return next(
        engine
        for engine in engines
        if _ask(engine, engine.refuses, network, updater) is None
        and _ask(engine, engine.suits, network, batch_size)
    )


def _ask(engine: Engine, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Ask whether an engine refuses or suits. If it raises an error, raise ``UsageError`` with its name."""
    try:
        return question(*args, **kwargs)
    except Exception as error:
        raise UsageError(
            f"engine {engine.name!r} failed in {question.__name__}: {type(error).__name__}: {error}\n"
            f"{_correct(engine)}"
        ) from error


def _correct(engine: Engine) -> str:
    """The advice in the message about an engine with a mistake."""
    file = inspect.getsourcefile(type(engine))
    return f"correct the engine in {file}, or choose another engine, for example engine=numpy"
