"""The engine ``template``."""

from __future__ import annotations

from collections.abc import Sequence

from mlpframe.api import (
    Block,
    Engine,
    EngineNetwork,
    EngineUpdater,
    Losses,
    Means,
    register,
    split_losses,
)


@register("template")
class Template(Engine):
    """Trains one network at a time, batch by batch.

    For each batch, the engine copies the rows into the plan (the network's arrays for this batch size), runs
    the forward and backward passes, and lets the optimizer update the weights.
    """

    priority = 50  # engine=auto asks the engine with the highest priority first

    def refuses(self, network: EngineNetwork, updater: EngineUpdater) -> str | None:
        if network.w.ndim > 1:
            return "it runs one network at a time, not replicas"
        if updater.optimizer.scope == "search":
            return f"optimizer={updater.optimizer.name} evaluates the loss itself"
        return None

    def suits(self, network: EngineNetwork, batch_size: int) -> bool:
        return False  # return True for networks that engine=auto should train with this engine

    def bind(self, network: EngineNetwork, updater: EngineUpdater) -> None:
        self._network, self._updater = network, updater

    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        (block,) = blocks
        values: list[Means] = []
        correct = 0
        for number, lr in enumerate(block.lrs):
            start = number * block.batch_size
            rows = block.rows[start : start + block.batch_size]
            plan = self._network.plan(len(rows), training=True)
            plan.fill(block.table, rows)
            values.append(plan.step())
            self._updater.update(lr)
            if self._network.classifies:
                correct += plan.correct()
        return split_losses(values, correct, len(blocks))
