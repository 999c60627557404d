"""The optimizer driven over the flat vector: weight decay, clipping, slices, state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from .api import Array, Optimizer, UpdateRules
from .network import Network, Slot

SLICE_BYTES = 1 << 18
"""What an element-wise optimizer is called on: w, g, scratch and two slots of it stay in the L2 cache."""
FLUSH_STEPS = 128
"""Updates between two looks for subnormal numbers in the optimizer's state."""


Recurrence = tuple[NDArray[np.float64], NDArray[np.float64]]
"""A and B of z ← A z + B g, where z are a weight and its state."""

Call = tuple[int | None, Array, Array, dict[str, Array], Array]
"""What an optimizer is called on: w, g, slots and scratch, of one of several stacked networks or of all."""


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
        optimizer.begin(network.w, self.slots)
        self._network = network
        self._slice = SLICE_BYTES // network.dtype.itemsize
        self._scratch = np.empty(
            (*network.w.shape[:-1], min(self._slice, network.w.shape[-1])), network.dtype
        )
        self.update = self.tail(0)

    @classmethod
    def stacked(cls, updaters: Sequence[Updater], network: Network) -> Updater:
        """Several updaters of one kind as one over a stacked network; their state become views into it."""
        stack = cls(updaters[0].optimizer, network)
        stack.step = updaters[0].step
        for name, vector in stack.slots.items():
            for i, updater in enumerate(updaters):
                vector[i] = updater.slots[name]
                updater.slots[name] = vector[i]
        return stack

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """While it lasts, the network has the weights that are to be evaluated."""
        if self.optimizer.evaluated is None:
            yield
            return
        trained, w = self._network.w.copy(), self._network.w
        w[...] = self.slots[self.optimizer.evaluated]
        try:
            yield
        finally:
            w[...] = trained

    def tail(self, first: int) -> Callable[[float], None]:
        """``update(lr)`` for the parameters from number ``first`` on; it counts the step."""
        network, rules = self._network, self.rules
        parameters = network.slots[first:]
        calls = self._bind(parameters)
        start = parameters[0].slice.start if parameters else network.w.shape[-1]
        most = rules.clip_norm or 0.0
        clipped = np.atleast_2d(network.g)[:, start:] if most else ()  # a row for each replica
        decayed = [
            (network.w[..., part], network.g[..., part], self._scratch[..., : part.stop - part.start])
            for slot in parameters
            if slot.parameter.decay and rules.weight_decay
            for part in self._slices(slot.slice)
        ]
        update = self.optimizer.update

        def run(lr: float) -> None:
            self.step += 1
            for g in clipped:
                norm = _norm(g)
                if norm > most:
                    np.multiply(g, most / norm, g)
            for w, gradient, scratch in decayed:
                if rules.decoupled:
                    np.multiply(w, 1 - lr * rules.weight_decay, w)
                else:
                    np.multiply(w, rules.weight_decay, scratch)
                    np.add(gradient, scratch, gradient)
            step = self.step
            for lane, w, gradient, slots, scratch in calls:
                own = lr if lane is None or isinstance(lr, float) else float(lr[lane, 0])
                update(w, gradient, slots, own, step, scratch)
            if step % FLUSH_STEPS == 0:
                self._flush_subnormals()

        return run

    def _slices(self, whole: slice) -> list[slice]:
        starts = range(whole.start, whole.stop, self._slice)
        return [slice(start, min(start + self._slice, whole.stop)) for start in starts]

    def _flush_subnormals(self) -> None:
        """Set state below the smallest normal number to 0.

        Where a gradient stays 0, running means decay until they are subnormal, and stay so for ever: a
        processor takes a hundred times as long for these, and they are no part of any update.
        """
        tiny = np.finfo(self._scratch.dtype).smallest_normal
        for vector in self.slots.values():
            for part in self._slices(slice(0, vector.shape[-1])):
                state, scratch = vector[..., part], self._scratch[..., : part.stop - part.start]
                np.abs(state, scratch)
                np.copyto(state, 0, where=scratch < tiny)

    def _bind(self, parameters: Sequence[Slot]) -> list[Call]:
        network = self._network
        if self.optimizer.scope == "tensor":
            if network.w.ndim == 1:
                return self._bind_tensors(None, network.w, network.g, self.slots, parameters)
            calls = []
            for lane, (w, g) in enumerate(zip(network.w, network.g, strict=True)):
                slots = {name: vector[lane] for name, vector in self.slots.items()}
                calls += self._bind_tensors(lane, w, g, slots, parameters)
            return calls
        calls = []
        whole = slice(parameters[0].slice.start, network.w.shape[-1]) if parameters else slice(0, 0)
        for part in self._slices(whole):
            slots = {name: vector[..., part] for name, vector in self.slots.items()}
            scratch = self._scratch[..., : part.stop - part.start]
            calls.append((None, network.w[..., part], network.g[..., part], slots, scratch))
        return calls

    def _bind_tensors(
        self, lane: int | None, w: Array, g: Array, slots: Mapping[str, Array], parameters: Sequence[Slot]
    ) -> list[Call]:
        """A call for each parameter of one network, with arrays of its shape."""
        views = self._network.views
        ws, gs, scratch = views(w), views(g), views(np.empty_like(w))
        state = {name: views(vector) for name, vector in slots.items()}
        names = [parameter.name for parameter in parameters]
        return [(lane, ws[n], gs[n], {slot: s[n] for slot, s in state.items()}, scratch[n]) for n in names]

    def recurrence(self, lr: float, *, decay: bool) -> Recurrence | None:
        """The next update of a parameter, weight decay included, as z ← A z + B g with z = (w, slots).

        Args:
            lr: the rate.
            decay: whether weight decay applies to the parameter.

        ``None`` if the update is not linear in the gradients.
        """
        linear = self.optimizer.recurrence(lr)
        if linear is None or self.rules.clip_norm is not None:
            return None
        A, B = (np.array(part, np.float64) for part in linear)
        if decay and self.rules.weight_decay:
            if self.rules.decoupled:
                A[:, 0] *= 1 - lr * self.rules.weight_decay
            else:
                A[:, 0] += B * self.rules.weight_decay
        return A, B


def _norm(vector: Array) -> float:
    """The Euclidean norm; also where its square is beyond the vector's type."""
    square = float(np.dot(vector, vector))
    if square < float("inf"):
        return sqrt(square)
    largest = float(np.abs(vector).max())
    return largest * sqrt(float(np.square(vector / largest, dtype=np.float64).sum()))
