"""The engine ``numpy``: runs one plan after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...api import (
    Block,
    Engine,
    EngineNetwork,
    EnginePlan,
    EngineUpdater,
    Losses,
    Means,
    rates,
    register,
    split_losses,
)


@register("numpy")
class NumpyEngine(Engine):
    """Batch by batch: gather, forwards, loss, backwards, update. Any network, any optimizer."""

    priority = 0

    def refuses(self, network: EngineNetwork, updater: EngineUpdater) -> str | None:
        return None

    def suits(self, network: EngineNetwork, batch_size: int) -> bool:
        return True

    def bind(self, network: EngineNetwork, updater: EngineUpdater) -> None:
        self._network, self._updater = network, updater
        self._searches = updater.optimizer.scope == "search"

    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        size, train = blocks[0].batch_size, self._train
        classes = self._network.classifies
        stacked = self._network.w.ndim > 1
        values, correct = [], 0
        start = 0
        for lr in rates(blocks, self._network.dtype):
            batch = slice(start, start + size)
            start += size
            plan = self._network.plan(len(blocks[0].rows[batch]), training=True)
            for i, block in enumerate(blocks):
                plan.fill(block.table, block.rows[batch], i if stacked else None)
            values.append(train(plan, lr))
            if classes:
                correct += plan.correct()
        return split_losses(values, correct, len(blocks))

    def _train(self, plan: EnginePlan, lr: Any) -> Means:
        """One step on the rows that ``plan`` holds."""
        if self._searches:
            return self._updater.search(lr, plan.step)
        loss = plan.step()
        self._updater.update(lr)
        return loss
