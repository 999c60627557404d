"""The engine ``numpy``: one plan after the other."""

from __future__ import annotations

import numpy as np

from ..api import Block, Engine, Losses, register
from ..network import Network
from ..optim import Updater


@register("numpy")
class NumpyEngine(Engine):
    """Batch by batch: gather, forwards, loss, backwards, update. Any network, any optimizer."""

    def refuses(self, network: Network, updater: Updater) -> str | None:
        return None

    def bind(self, network: Network, updater: Updater) -> None:
        self._network, self._update = network, updater.update

    def advance(self, block: Block) -> Losses:
        x, y = block.table.x, block.table.y
        size, update = block.batch_size, self._update
        classes = y.ndim == 1
        losses = Losses()
        start = 0
        for lr in block.lrs:
            rows = block.rows[start : start + size]
            start += size
            plan = self._network.plan(len(rows), training=True)
            x.take(rows, 0, plan.x, "clip")
            y.take(rows, 0, plan.target, "clip")
            losses.values.append(plan.step())
            if classes:
                losses.correct += int(np.count_nonzero(plan.output.argmax(1) == plan.target))
            update(lr)
        return losses
