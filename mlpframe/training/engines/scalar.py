"""The engine ``scalar``: plain Python numbers and lists, no NumPy in the arithmetic.

This engine computes as a textbook does by hand, one example and one number at a time. You can read it, and
check the other engines against it. For a handful of units it is also the fastest engine, because a NumPy call
costs more than the arithmetic of these units. Python numbers have double precision; the weights of a float32
network are rounded after every block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from math import exp, log, tanh
from operator import mul
from typing import Any

from ...api import Block, Engine, EngineNetwork, EngineUpdater, Layer, Losses, register

Vector = list[float]


FEW_PRODUCTS = 40
"""Up to this number of parameters × batch rows, plain Python is the fastest (``benchmarks engines``)."""


class Unit(ABC):
    """A layer for one example: ``forward`` maps x to y, and ``backward`` maps ∂l/∂y to ∂l/∂x."""

    @abstractmethod
    def forward(self, x: Vector) -> Vector:
        """y of one example."""

    @abstractmethod
    def backward(self, dy: Vector) -> Vector:
        """∂l/∂x from ∂l/∂y of the same example."""


class Linear(Unit):
    """y_j = Σ_i x_i W_ij + b_j; the weights into output j are the list ``columns[j]``.

    ``backward`` changes ``new_columns`` and ``new_b``. For a batch of one row, these lists are the weights
    themselves. For a larger batch they are copies, and ``end_batch`` replaces the weights by the copies.
    """

    def __init__(self, W: list[Vector], b: Vector | None, *, first: bool) -> None:
        self.columns = [list(column) for column in zip(*W)]
        self.b = b or [0.0] * len(self.columns)
        self.biased, self.first = b is not None, first

    def begin_batch(self, rate: float, size: int) -> None:
        self.rate = rate / size
        self.new_columns, self.new_b = self.columns, self.b
        if size > 1:
            self.new_columns, self.new_b = self.columns.copy(), self.b.copy()

    def end_batch(self) -> None:
        self.columns, self.b = self.new_columns, self.new_b

    def forward(self, x: Vector) -> Vector:
        self.x = x
        return [sum(map(mul, x, column), c) for column, c in zip(self.columns, self.b)]

    def backward(self, dy: Vector) -> Vector:
        """∂l/∂x_i = Σ_j ∂l/∂y_j W_ij; and w ← w − rate ∂l/∂w, ∂l/∂W_ij = x_i ∂l/∂y_j, ∂l/∂b_j = ∂l/∂y_j."""
        dx = dy  # nobody reads what the first layer returns, so ∂l/∂x is not computed
        if not self.first:
            dx = [sum(map(mul, dy, row)) for row in zip(*self.columns)]
        x, columns, b = self.x, self.new_columns, self.new_b
        for j, d in enumerate(dy):
            step = self.rate * d
            columns[j] = [w - step * value for w, value in zip(columns[j], x)]
            if self.biased:
                b[j] -= step
        return dx


class Sigmoid(Unit):
    """y = 1 / (1 + exp(−x)), computed so that exp cannot overflow."""

    def forward(self, x: Vector) -> Vector:
        self.y = [1 / (1 + exp(-v)) if v > -700 else 0.0 for v in x]
        return self.y

    def backward(self, dy: Vector) -> Vector:
        return [d * y * (1 - y) for d, y in zip(dy, self.y)]


class Tanh(Unit):
    """y = tanh(x)."""

    def forward(self, x: Vector) -> Vector:
        self.y = [tanh(v) for v in x]
        return self.y

    def backward(self, dy: Vector) -> Vector:
        return [d * (1 - y * y) for d, y in zip(dy, self.y)]


class ReLU(Unit):
    """y = max(x, 0)."""

    def forward(self, x: Vector) -> Vector:
        self.y = [v if v > 0 else 0.0 for v in x]
        return self.y

    def backward(self, dy: Vector) -> Vector:
        return [d if y > 0 else 0.0 for d, y in zip(dy, self.y)]


class Softmax(Unit):
    """y_i = exp(x_i) / Σ_j exp(x_j)."""

    def forward(self, x: Vector) -> Vector:
        top = max(x)
        powers = [exp(v - top) for v in x]
        total = sum(powers)
        self.y = [power / total for power in powers]
        return self.y

    def backward(self, dy: Vector) -> Vector:
        mean = sum(map(mul, dy, self.y))
        return [y * (d - mean) for d, y in zip(dy, self.y)]


UNITS: dict[str, Callable[[], Unit]] = {"sigmoid": Sigmoid, "tanh": Tanh, "relu": ReLU, "softmax": Softmax}


def cross_entropy(o: Vector, c: int) -> tuple[float, Vector]:
    """l = log Σ exp o_j − o_c and ∂l/∂o_i = softmax(o)_i − δ_ic."""
    top = max(o)
    powers = [exp(v - top) for v in o]
    total = sum(powers)
    derivative = [power / total for power in powers]
    derivative[c] -= 1
    return log(total) + top - o[c], derivative


def nll(y: Vector, c: int) -> tuple[float, Vector]:
    """l = −log y_c and ∂l/∂y_c = −1 / y_c."""
    derivative = [0.0] * len(y)
    derivative[c] = -1 / y[c] if y[c] > 0 else float("-inf")
    return -log(y[c]) if y[c] > 0 else float("inf"), derivative


def mse(o: Vector, target: Any) -> tuple[float, Vector]:
    """l = mean (o_i − t_i)² over the outputs, t one-hot for a class number."""
    t = target if isinstance(target, list) else [float(i == target) for i in range(len(o))]
    difference = [a - b for a, b in zip(o, t)]
    return sum(map(mul, difference, difference)) / len(o), [2 * d / len(o) for d in difference]


LOSSES: dict[str, Callable[[Vector, Any], tuple[float, Vector]]] = {
    "cross_entropy": cross_entropy,
    "nll": nll,
    "mse": mse,
}


@register("scalar")
class ScalarEngine(Engine):
    """Computes with plain Python numbers and lists, one example at a time; for very small networks."""

    priority = 40

    def refuses(self, network: EngineNetwork, updater: EngineUpdater) -> str | None:
        for layer in network.layers:
            if layer.name != "linear" and layer.name not in UNITS:
                return f"it supports the layers linear, {', '.join(UNITS)}, not {layer.name}"
        if network.loss.name not in LOSSES:
            return f"it supports the losses {', '.join(LOSSES)}, not {network.loss.name}"
        if vars(network.loss) != vars(type(network.loss)()):
            return f"it supports loss={network.loss.name} with default options only"
        if network.weighted or network.classifies != (not network.target_shape):
            return "it supports neither row weights nor transforms that mix rows"
        if network.w.ndim > 1:
            return "it runs one network at a time, not replicas"
        if updater.optimizer.name != "sgd":
            return f"it supports optimizer=sgd, not optimizer={updater.optimizer.name}"
        if updater.rules.weight_decay or updater.rules.special:
            return "it supports neither weight decay nor clipping nor rules for single parameters"
        return None

    def suits(self, network: EngineNetwork, batch_size: int) -> bool:
        return network.w.size * batch_size <= FEW_PRODUCTS

    def bind(self, network: EngineNetwork, updater: EngineUpdater) -> None:
        self._network, self._updater = network, updater
        self._loss = LOSSES[network.loss.name]

    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        block = blocks[0]
        arrays = self._network.views(self._network.w)
        units = [self._unit(i, layer, arrays) for i, layer in enumerate(self._network.layers)]
        back, loss_of = units[::-1], self._loss
        trained = [unit for unit in units if isinstance(unit, Linear)]
        xs, targets = block.table.x[block.rows].tolist(), block.table.y[block.rows].tolist()
        classes, size = block.table.y.ndim == 1, block.batch_size
        losses, rate = Losses(), None
        for k, lr in enumerate(block.lrs):
            batch = range(k * size, min((k + 1) * size, len(xs)))
            if size > 1 or lr != rate:
                rate = lr
                for layer in trained:
                    layer.begin_batch(lr, len(batch))
            total = 0.0
            for i in batch:
                y, target = xs[i], targets[i]
                for unit in units:
                    y = unit.forward(y)
                loss, dy = loss_of(y, target)
                total += loss
                if classes and y.index(max(y)) == target:
                    losses.correct += 1
                for unit in back:
                    dy = unit.backward(dy)
            if size > 1:
                for layer in trained:
                    layer.end_batch()
            losses.values.append(total / len(batch))
        for i, unit in enumerate(units):
            if isinstance(unit, Linear):
                prefix = self._network.prefix(i)
                arrays[prefix + "W"][...] = list(zip(*unit.columns))
                if unit.biased:
                    arrays[prefix + "b"][...] = unit.b
        self._updater.step += len(block.lrs)
        return [losses]

    def _unit(self, i: int, layer: Layer, arrays: dict[str, Any]) -> Unit:
        if layer.name != "linear":
            return UNITS[layer.name]()
        prefix = self._network.prefix(i)
        W = arrays[prefix + "W"].tolist()
        b = arrays[prefix + "b"].tolist() if prefix + "b" in arrays else None
        return Linear(W, b, first=i == 0)
