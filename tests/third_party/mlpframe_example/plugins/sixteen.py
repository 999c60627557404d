"""The engine ``sixteen``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlpframe.api import Block, Engine, EngineNetwork, EngineUpdater, Losses, register


@register("sixteen")
class Sixteen(Engine):
    """Trains batch by batch; only for networks in float64 with one hidden layer of 16 units."""

    priority = 50

    def refuses(self, network: EngineNetwork, updater: EngineUpdater) -> str | None:
        if network.w.ndim > 1:
            return "it runs one network at a time"
        if updater.optimizer.scope == "search":
            return f"it has no optimizer {updater.optimizer.name}"
        return None

    def suits(self, network: EngineNetwork, batch_size: int) -> bool:
        units = [
            n for layer, n in zip(network.layers, network.widths[1:], strict=True) if layer.name == "linear"
        ]
        return network.dtype == np.float64 and units[:-1] == [16]

    def bind(self, network: EngineNetwork, updater: EngineUpdater) -> None:
        self.network, self.updater = network, updater

    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        (block,) = blocks
        losses = Losses()
        for step, lr in enumerate(block.lrs):
            rows = block.rows[step * block.batch_size : (step + 1) * block.batch_size]
            plan = self.network.plan(len(rows), training=True)
            plan.fill(block.table, rows)
            losses.values.append(plan.step())
            losses.correct += plan.correct() if self.network.classifies else 0
            self.updater.update(lr)
        return [losses]
