"""The optimizer driven over the flat vector: weight decay, clipping, slices, state."""

from __future__ import annotations

from math import sqrt

import numpy as np

from .api import Array, Optimizer, UpdateRules
from .network import Network

SLICE = 32_768
"""Elements an element-wise optimizer is called on: w, g, scratch and two slots stay in the L2 cache."""


class Updater:
    """One optimizer over one network's parameters.

    ``update(lr)`` does, in this order: clip the gradient's norm, add coupled weight decay to the
    gradient, apply decoupled weight decay to the weights, call the optimizer.
    """

    def __init__(self, optimizer: Optimizer, network: Network) -> None:
        self.optimizer = optimizer
        self.rules: UpdateRules = optimizer.shared
        self.step = 0
        self.slots: dict[str, Array] = {name: np.zeros_like(network.w) for name in optimizer.slots}
        self._g = network.g
        self._scratch = np.empty(min(SLICE, network.w.size), network.dtype)
        self._decayed = [
            (network.w[part], network.g[part], self._scratch[: part.stop - part.start])
            for slot in network.slots
            if slot.parameter.decay
            for part in _slices(slot.slice)
        ]
        self._calls = self._bind(network)
        self._plain = self.rules.weight_decay == 0 and self.rules.clip_norm is None

    def _bind(self, network: Network) -> list[tuple[Array, Array, dict[str, Array], Array]]:
        if self.optimizer.scope == "tensor":
            w, g, scratch = (
                network.views(vector) for vector in (network.w, network.g, np.empty_like(network.w))
            )
            state = {name: network.views(vector) for name, vector in self.slots.items()}
            return [
                (w[name], g[name], {slot: views[name] for slot, views in state.items()}, scratch[name])
                for name in w
            ]
        calls = []
        for part in _slices(slice(0, network.w.size)):
            slots = {name: vector[part] for name, vector in self.slots.items()}
            calls.append((network.w[part], network.g[part], slots, self._scratch[: part.stop - part.start]))
        return calls

    def update(self, lr: float) -> None:
        """Apply the gradient in ``g`` at the rate ``lr``."""
        self.step += 1
        if not self._plain:
            self._apply_rules(lr)
        step, update = self.step, self.optimizer.update
        for w, g, slots, scratch in self._calls:
            update(w, g, slots, lr, step, scratch)

    def _apply_rules(self, lr: float) -> None:
        rules, g = self.rules, self._g
        if rules.clip_norm is not None:
            norm = _norm(g)
            if norm > rules.clip_norm:
                np.multiply(g, rules.clip_norm / norm, g)
        for w, gradient, scratch in self._decayed if rules.weight_decay else ():
            if rules.decoupled:
                np.multiply(w, 1 - lr * rules.weight_decay, w)
            else:
                np.multiply(w, rules.weight_decay, scratch)
                np.add(gradient, scratch, gradient)


def _slices(whole: slice) -> list[slice]:
    return [slice(start, min(start + SLICE, whole.stop)) for start in range(whole.start, whole.stop, SLICE)]


def _norm(vector: Array) -> float:
    """The Euclidean norm; also where its square is beyond the vector's type."""
    square = float(np.dot(vector, vector))
    if square < float("inf"):
        return sqrt(square)
    largest = float(np.abs(vector).max())
    return largest * sqrt(float(np.square(vector / largest, dtype=np.float64).sum()))
