"""The engine ``numpy``: runs one plan after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def step_by_step(
    network: EngineNetwork, blocks: Sequence[Block], train: Callable[[EnginePlan, Any], Means]
) -> list[Losses]:
    """For every batch, copy its rows into a plan and call ``train(plan, lr)``, which takes one step."""
    size, classes, stacked = blocks[0].batch_size, network.classifies, network.w.ndim > 1
    values, correct = [], 0
    start = 0
    for lr in rates(blocks, network.dtype):
        batch = slice(start, start + size)
        start += size
        plan = network.plan(len(blocks[0].rows[batch]), training=True)
        for i, block in enumerate(blocks):
            plan.fill(block.table, block.rows[batch], i if stacked else None)
        values.append(train(plan, lr))
        if classes:
            correct += plan.correct()
    return split_losses(values, correct, len(blocks))


@register("numpy")
class NumpyEngine(Engine):
    """Trains one batch after another: forward pass, backward pass, update; for any network and optimizer."""

    priority = 0

    def refuses(self, network: EngineNetwork, updater: EngineUpdater) -> str | None:
        return None

    def suits(self, network: EngineNetwork, batch_size: int) -> bool:
        return True

    def bind(self, network: EngineNetwork, updater: EngineUpdater) -> None:
        self._network, self._updater = network, updater
        self._searches = updater.optimizer.scope == "search"

    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        return step_by_step(self._network, blocks, self._train)

    def _train(self, plan: EnginePlan, lr: Any) -> Means:
        """One step on the rows that ``plan`` holds."""
        if self._searches:
            return self._updater.search(lr, plan.step)
        loss = plan.step()
        self._updater.update(lr)
        return loss
