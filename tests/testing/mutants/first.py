"""The engine ``kit_first``."""

import numpy as np

from mlpframe.api import Engine, rates, register, split_losses


@register("kit_first")
class First(Engine):
    """Batch by batch; the engine itself computes the first layer, which is linear."""

    def refuses(self, network, updater):
        if network.weighted:
            return "it has no weights of rows"
        names = set(network.views(network.w))
        return None if {"0.linear.W", "0.linear.b"} <= names else "its first layer is not linear with a bias"

    def bind(self, network, updater):
        self._network, self._updater = network, updater

    def advance(self, blocks):
        network, size = self._network, blocks[0].batch_size
        stack = network.w.shape[:-1]
        p, g = network.views(network.w), network.views(network.g)
        losses, correct = [], 0
        for number, lr in enumerate(rates(blocks, network.dtype)):
            batch = slice(number * size, (number + 1) * size)
            x, target = (
                np.array([array[block.rows[batch]] for block, array in zip(blocks, arrays, strict=True)])
                for arrays in zip(*((block.table.x, block.table.y) for block in blocks), strict=True)
            )
            if not stack:
                x, target = x[0], target[0]
            y = x @ p["0.linear.W"] + p["0.linear.b"][..., None, :]
            dy = np.zeros(y.shape)
            head = network.bind(y, dy, target, network.context(training=True), first=1)
            losses.append(head.step())
            correct = correct + (head.correct() if network.classifies else 0)
            np.matmul(x.swapaxes(-1, -2), dy, g["0.linear.W"])
            np.sum(dy, -2, out=g["0.linear.b"])
            self._updater.update(lr)
        return split_losses(losses, correct, len(blocks))
