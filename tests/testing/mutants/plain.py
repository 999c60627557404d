"""The engine ``kit_plain``."""

from mlpframe.api import Engine, Losses, register


@register("kit_plain")
class Plain(Engine):
    """Batch by batch, for one network."""

    def refuses(self, network, updater):
        return "it runs one network" if network.w.ndim > 1 else None

    def bind(self, network, updater):
        self._network, self._updater = network, updater

    def advance(self, blocks):
        (block,) = blocks
        losses, size = Losses(), block.batch_size
        for number, lr in enumerate(block.lrs):
            rows = block.rows[number * size : (number + 1) * size]
            plan = self._network.plan(len(rows), training=True)
            plan.fill(block.table, rows)
            losses.values.append(plan.step())
            self._updater.update(lr)
            losses.correct += plan.correct() if self._network.classifies else 0
        return [losses]
