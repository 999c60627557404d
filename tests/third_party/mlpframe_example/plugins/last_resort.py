"""The engine ``last_resort``."""

from __future__ import annotations

from mlpframe.api import EngineNetwork, register

from .sixteen import Sixteen


@register("last_resort")
class LastResort(Sixteen):
    """Trains batch by batch, like the engine ``sixteen``, but suits networks that no other engine suits."""

    priority = -1

    def suits(self, network: EngineNetwork, batch_size: int) -> bool:
        return True
