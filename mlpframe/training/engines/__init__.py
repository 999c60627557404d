"""Engines: how a block of batches is run."""

from __future__ import annotations

from ...api import Engine
from ...registry import UsageError, registries
from ..network import Network
from ..optim import Updater

PREFERENCE = ("scalar", "online", "fused", "numpy")
"""``auto`` takes the first of these that is exact for the configuration and made for its size."""


def create_engine(name: str, network: Network, updater: Updater, batch_size: int) -> Engine:
    """The engine of that name, or with ``auto`` the fastest that is exact.

    Raises:
        UsageError: there is no such engine, or it is not exact for this network and optimizer.
    """
    registry = registries["engine"]
    if name == "auto":
        engines: list[Engine] = [registry.create(one) for one in PREFERENCE]
        engine = next(
            one for one in engines if one.refuses(network, updater) is None and one.suits(network, batch_size)
        )
    else:
        engine = registry.create(name)
        reason = engine.refuses(network, updater)
        if reason is not None:
            raise UsageError(f"engine={name} cannot run this configuration: {reason}; use engine=auto")
    engine.bind(network, updater)
    return engine
