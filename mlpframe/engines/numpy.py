"""The engine ``numpy``: one plan after the other."""

from __future__ import annotations

from collections.abc import Sequence

from ..api import Block, Engine, Losses, rates, register, split_losses
from ..network import Network
from ..optim import Updater


@register("numpy")
class NumpyEngine(Engine):
    """Batch by batch: gather, forwards, loss, backwards, update. Any network, any optimizer."""

    def refuses(self, network: Network, updater: Updater) -> str | None:
        return None

    def bind(self, network: Network, updater: Updater) -> None:
        self._network, self._update = network, updater.update

    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        size, update = blocks[0].batch_size, self._update
        classes = blocks[0].table.y.ndim == 1
        stacked = self._network.w.ndim > 1
        values, correct = [], 0
        start = 0
        for lr in rates(blocks, self._network.dtype):
            batch = slice(start, start + size)
            start += size
            plan = self._network.plan(len(blocks[0].rows[batch]), training=True)
            for i, block in enumerate(blocks):
                rows = block.rows[batch]
                block.table.x.take(rows, 0, plan.x[i] if stacked else plan.x, "clip")
                block.table.y.take(rows, 0, plan.target[i] if stacked else plan.target, "clip")
            values.append(plan.step())
            if classes:
                correct += plan.correct()
            update(lr)
        return split_losses(values, correct, len(blocks))
