"""Engines: how a block of batches is run."""

from __future__ import annotations

from ..api import Engine
from ..network import Network
from ..optim import Updater
from ..registry import UsageError, registries

PREFERENCE = ("numpy",)
"""``auto`` takes the first of these that is exact for the configuration."""


def create_engine(name: str, network: Network, updater: Updater) -> Engine:
    """The engine of that name, or with ``auto`` the fastest that is exact.

    Raises:
        UsageError: there is no such engine, or it is not exact for this network and optimizer.
    """
    registry = registries["engine"]
    if name == "auto":
        name = next(one for one in PREFERENCE if registry.create(one).refuses(network, updater) is None)
    engine: Engine = registry.create(name)
    reason = engine.refuses(network, updater)
    if reason is not None:
        raise UsageError(f"engine {name!r} cannot run this configuration: {reason}; use engine=auto")
    engine.bind(network, updater)
    return engine
