"""The optimizer driven over the flat vector: weight decay, clipping, slices, state."""

from __future__ import annotations

from math import sqrt
from typing import Any

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
        self._decayed = [
            (network.w[slot.slice], network.g[slot.slice]) for slot in network.slots if slot.parameter.decay
        ]
        self._calls = self._bind(network)
        self._plain = self.rules.weight_decay == 0 and self.rules.clip_norm is None

    def _bind(self, network: Network) -> list[tuple[Array, Array, dict[str, Array], Array]]:
        if self.optimizer.scope == "tensor":
            scratch = network.views(np.empty_like(network.w))
            w, g = network.views(network.w), network.views(network.g)
            slots = {name: network.views(vector) for name, vector in self.slots.items()}
            return [
                (w[name], g[name], {slot: views[name] for slot, views in slots.items()}, scratch[name])
                for name in w
            ]
        scratch = np.empty(min(SLICE, network.w.size), network.dtype)
        calls = []
        for start in range(0, network.w.size, SLICE):
            part = slice(start, min(start + SLICE, network.w.size))
            slots = {name: vector[part] for name, vector in self.slots.items()}
            calls.append((network.w[part], network.g[part], slots, scratch[: part.stop - start]))
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
            norm = sqrt(float(np.dot(g, g)))
            if norm > rules.clip_norm:
                np.multiply(g, rules.clip_norm / norm, g)
        for w, gradient in self._decayed if rules.weight_decay else ():
            if rules.decoupled:
                np.multiply(w, 1 - lr * rules.weight_decay, w)
            else:
                gradient += rules.weight_decay * w

    def state(self) -> dict[str, Any]:
        """The number of updates done; the slots are arrays of their own."""
        return {"step": self.step}
