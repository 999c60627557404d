"""The engine ``template``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlpframe.api import Block, Engine, Losses, register


@register("template")
class Template(Engine):
    """Batch by batch, for one network at a time.

    Fills the plan of the batch, takes a step of it, and has the optimizer update the weights.
    """

    def refuses(self, network: Any, updater: Any) -> str | None:
        return "it runs one network at a time" if network.w.ndim > 1 else None

    def suits(self, network: Any, batch_size: int) -> bool:
        return False

    def bind(self, network: Any, updater: Any) -> None:
        self._network, self._updater = network, updater

    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        (block,) = blocks
        losses = Losses()
        for number, lr in enumerate(block.lrs):
            start = number * block.batch_size
            rows = block.rows[start : start + block.batch_size]
            plan = self._network.plan(len(rows), training=True)
            plan.fill(block.table, rows)
            losses.values.append(plan.step())
            self._updater.update(lr)
            if self._network.classifies:
                losses.correct += int(plan.correct())
        return [losses]
