"""The engine ``numpy``: one plan after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..api import Block, Engine, Losses, rates, register
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
        losses = [Losses() for _ in blocks]
        start = 0
        for lr in rates(blocks, self._network.dtype):
            batch = slice(start, start + size)
            start += size
            plan = self._network.plan(len(blocks[0].rows[batch]), training=True)
            for block, (x, target, _) in zip(blocks, plan.lanes, strict=True):
                rows = block.rows[batch]
                block.table.x.take(rows, 0, x, "clip")
                block.table.y.take(rows, 0, target, "clip")
            for result, value in zip(losses, plan.step(), strict=True):
                result.values.append(value)
            if classes:
                for result, (_, target, output) in zip(losses, plan.lanes, strict=True):
                    result.correct += int(np.count_nonzero(output.argmax(1) == target))
            update(lr)
        return losses
