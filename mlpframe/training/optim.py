"""Apply an optimizer to the flat parameter vector: clipping, weight decay, learning rates, slices, state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from math import hypot, prod, sqrt
from typing import Any

import numpy as np

from ..api import Array, Optimizer, Recurrence, UpdateRules, UsageError, nearest
from .network import Network, ParameterView

SLICE_BYTES = 1 << 18
"""Bytes of one slice for an element-wise optimizer: w, g, scratch and two slots fit in the L2 cache."""
FLUSH_STEPS = 128
"""Number of updates between two searches for subnormal numbers in the optimizer's state."""

Rate = Callable[[Any], Any]
"""Maps the step's learning rate (one per replica if networks are stacked) to the rate for this call."""
Call = tuple[Rate | None, Array, Array, dict[str, Array], Array]
"""One call of the optimizer: rate, w, g, slots and scratch, of one stacked network or of all networks."""


class Updater:
    """Applies one optimizer to the parameters of one network.

    ``update(lr)`` does these steps in this order: clip the elements of the gradient; clip the norm of each
    parameter's gradient; clip the norm of the whole gradient; apply weight decay, to the gradient if coupled,
    to the weights if decoupled; call the optimizer. If an optimizer evaluates the loss itself, call
    ``search`` instead.

    Raises:
        UsageError: a rule names parameters that do not exist, or the optimizer does not support a rule or
            replicas.
    """

    def __init__(self, optimizer: Optimizer, network: Network) -> None:
        self.optimizer = optimizer
        self.rules: UpdateRules = optimizer.shared
        self.step = 0
        self._network = network
        self._check()
        self.slots: dict[str, Array] = {name: np.zeros_like(network.w) for name in optimizer.slots}
        optimizer.begin(network.w, self.slots)
        self._prepare()

    def _prepare(self) -> None:
        """Bind the update of all parameters to the arrays of the network."""
        network = self._network
        self._slice = SLICE_BYTES // network.dtype.itemsize
        self._scratch = np.empty(
            (*network.w.shape[:-1], min(self._slice, network.w.shape[-1])), network.dtype
        )
        self.update = self.tail(0)

    def __getstate__(self) -> dict[str, Any]:
        """Everything except the bound update, which a copied or unpickled updater binds again."""
        return {name: value for name, value in vars(self).items() if name not in ("update", "_scratch")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._prepare()

    def _check(self) -> None:
        rules, known = self.rules, [view.name for view in self._network.parameters]
        for option, patterns in (("no_decay", rules.no_decay), ("rates", rules.rates)):
            for pattern in patterns:
                if not any(fnmatchcase(name, pattern) for name in known):
                    raise UsageError(
                        f"optimizer.{option}: no parameter is named {pattern!r}; {nearest(pattern, known)}"
                    )
        if self.optimizer.scope != "search":
            return
        name = self.optimizer.name
        if self._network.w.ndim > 1:
            raise UsageError(
                f"optimizer={name} evaluates the loss itself, so it cannot train several replicas together"
            )
        clips = [rule for rule in rules.special if rule.startswith("clip")]
        if clips or rules.decoupled or any(rules.rates.values()):
            raise UsageError(
                f"optimizer={name} evaluates the loss itself, so it supports neither clipping nor decoupled "
                f"weight decay, and optimizer.rates may only be 0, which freezes parameters"
            )

    @classmethod
    def stacked(cls, updaters: Sequence[Updater], network: Network) -> Updater:
        """Stack updaters of the same kind for a stacked network. Their slots become views into the stack."""
        stack = cls(updaters[0].optimizer, network)
        stack.step = updaters[0].step
        for name, vector in stack.slots.items():
            for i, updater in enumerate(updaters):
                vector[i] = updater.slots[name]
                updater.slots[name] = vector[i]
        return stack

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """Within this context, the network has the weights to evaluate.

        These are the trained weights, or the values of the optimizer's slot ``evaluated`` (such as averages).
        """
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
        """A function like ``update``, but only for the parameters from number ``first`` on.

        Every call counts as one step.
        """
        trained = [view for view in self._network.parameters[first:] if self._factor(view)]
        calls = self._bind(trained)
        before = [*self._clips(trained), *self._decays(trained)]
        update = self.optimizer.update

        def run(lr: float) -> None:
            self.step += 1
            for change in before:
                change(lr)
            step = self.step
            for rate, w, gradient, slots, scratch in calls:
                update(w, gradient, slots, lr if rate is None else rate(lr), step, scratch)
            if step % FLUSH_STEPS == 0:
                self._flush_subnormals()

        return run

    def search(self, lr: float, evaluate: Callable[[], Any]) -> float:
        """Run one update of an optimizer that evaluates the loss itself.

        Returns the new loss, without the term for weight decay.

        Args:
            lr: the learning rate.
            evaluate: writes the gradient at the current weights and returns the mean loss.
        """
        network = self._network
        frozen = [network.g[view.slice] for view in network.parameters if not self._factor(view)]
        trained = [view for view in network.parameters if self._factor(view)]
        decays = list(self._decays(trained))
        decayed = [network.w[view.slice] for view in trained if self._is_decayed(view)]

        def objective() -> float:
            loss = float(evaluate())
            for gradient in frozen:
                gradient.fill(0)
            for add in decays:
                add(lr)
            return loss + self.rules.weight_decay / 2 * sum(_norm(w) ** 2 for w in decayed)

        self.step += 1
        self.optimizer.search(network.w, network.g, lr, objective)
        return float(evaluate())

    def _factor(self, view: ParameterView) -> float:
        """The factor of a parameter's learning rate; 0 if the parameter is frozen."""
        return prod(
            (factor for pattern, factor in self.rules.rates.items() if fnmatchcase(view.name, pattern)),
            start=1.0,
        )

    def _is_decayed(self, view: ParameterView) -> bool:
        spared = any(fnmatchcase(view.name, pattern) for pattern in self.rules.no_decay)
        return bool(self.rules.weight_decay) and view.parameter.decay and not spared

    def _clips(self, trained: Sequence[ParameterView]) -> Iterator[Callable[[float], None]]:
        rules = self.rules
        runs = [run for _, run in self._runs(trained)]
        rows = np.atleast_2d(self._network.g)  # one row for each replica
        if rules.clip_value is not None:
            yield _clip_values(
                [rows[:, part] for run in runs for part in self._slices(run)], rules.clip_value
            )
        if rules.clip_each is not None:
            yield _clip_norms([[row[view.slice]] for row in rows for view in trained], rules.clip_each)
        if rules.clip_norm is not None:
            yield _clip_norms([[row[run] for run in runs] for row in rows], rules.clip_norm)

    def _decays(self, trained: Sequence[ParameterView]) -> Iterator[Callable[[float], None]]:
        network, decay = self._network, self.rules.weight_decay
        parts = [
            (part, self._factor(view))
            for view in trained
            if self._is_decayed(view)
            for part in self._slices(view.slice)
        ]
        shrunk = [(network.w[..., part], decay * factor) for part, factor in parts]
        added = [(network.w[..., part], network.g[..., part], self._room(part)) for part, _ in parts]

        def shrink(lr: float) -> None:
            for w, share in shrunk:
                np.multiply(w, 1 - lr * share, w)

        def add(_: float) -> None:
            for w, gradient, scratch in added:
                np.multiply(w, decay, scratch)
                np.add(gradient, scratch, gradient)

        if parts:
            yield shrink if self.rules.decoupled else add

    def _runs(self, trained: Sequence[ParameterView]) -> list[tuple[float, slice]]:
        """The longest stretches of neighboring parameters with the same factor of the learning rate."""
        runs: list[tuple[float, slice]] = []
        for view in trained:
            factor, start = self._factor(view), view.slice.start
            if runs and runs[-1] == (factor, slice(runs[-1][1].start, start)):
                start = runs.pop()[1].start
            runs.append((factor, slice(start, view.slice.stop)))
        return runs

    def _room(self, part: slice) -> Array:
        return self._scratch[..., : part.stop - part.start]

    def _slices(self, stretch: slice) -> list[slice]:
        starts = range(stretch.start, stretch.stop, self._slice)
        return [slice(start, min(start + self._slice, stretch.stop)) for start in starts]

    def _flush_subnormals(self) -> None:
        """Set numbers in the optimizer's state to 0 if they are below the smallest normal number.

        While a gradient stays 0, running means decay until they are subnormal, and they stay subnormal
        forever. A processor takes a hundred times as long for subnormal numbers, and they do not change any
        update.
        """
        tiny = np.finfo(self._scratch.dtype).smallest_normal
        for vector in self.slots.values():
            for part in self._slices(slice(0, vector.shape[-1])):
                state, scratch = vector[..., part], self._room(part)
                np.abs(state, scratch)
                np.copyto(state, 0, where=scratch < tiny)

    def _bind(self, trained: Sequence[ParameterView]) -> list[Call]:
        network = self._network
        if self.optimizer.scope == "tensor":
            if network.w.ndim == 1:
                return self._bind_tensors(None, network.w, network.g, self.slots, trained)
            calls = []
            for lane, (w, g) in enumerate(zip(network.w, network.g, strict=True)):
                slots = {name: vector[lane] for name, vector in self.slots.items()}
                calls += self._bind_tensors(lane, w, g, slots, trained)
            return calls
        calls = []
        for factor, run in self._runs(trained):
            for part in self._slices(run):
                slots = {name: vector[..., part] for name, vector in self.slots.items()}
                w, g = network.w[..., part], network.g[..., part]
                calls.append((_rate(None, factor), w, g, slots, self._room(part)))
        return calls

    def _bind_tensors(
        self,
        lane: int | None,
        w: Array,
        g: Array,
        slots: Mapping[str, Array],
        trained: Sequence[ParameterView],
    ) -> list[Call]:
        """One ``Call`` for each parameter, with arrays of the parameter's shape."""
        views = self._network.views
        ws, gs, scratch = views(w), views(g), views(np.empty_like(w))
        state = {name: views(vector) for name, vector in slots.items()}
        return [
            (
                _rate(lane, self._factor(parameter)),
                ws[parameter.name],
                gs[parameter.name],
                {slot: arrays[parameter.name] for slot, arrays in state.items()},
                scratch[parameter.name],
            )
            for parameter in trained
        ]

    def recurrence(self, lr: float, *, decay: bool) -> Recurrence | None:
        """The next update of any parameter, weight decay included, as z ← A z + B g with z = (w, slots).

        Args:
            lr: the learning rate.
            decay: whether weight decay applies to the parameter.

        Returns ``None`` if the update is not linear in the gradients, or not the same for all parameters.
        """
        linear = self.optimizer.recurrence(lr)
        if linear is None or self.rules.special:
            return None
        A, B = (np.array(part, np.float64) for part in linear)
        if decay and self.rules.weight_decay:
            if self.rules.decoupled:
                A[:, 0] *= 1 - lr * self.rules.weight_decay
            else:
                A[:, 0] += B * self.rules.weight_decay
        return A, B


def _rate(lane: int | None, factor: float) -> Rate | None:
    """A function that multiplies the learning rate by ``factor``; ``None`` if the rate does not change.

    ``lane`` is the number of the stacked network whose rate is multiplied; ``None``: the rates of all.
    """
    if lane is None:
        return None if factor == 1 else lambda lr: lr * factor
    return lambda lr: (lr if isinstance(lr, float) else float(lr[lane, 0])) * factor


def _clip_values(gradients: Sequence[Array], most: float) -> Callable[[float], None]:
    def clip(_: float) -> None:
        for g in gradients:
            np.minimum(g, most, out=g)
            np.maximum(g, -most, out=g)

    return clip


def _clip_norms(gradients: Sequence[Sequence[Array]], most: float) -> Callable[[float], None]:
    """Scale each gradient down to the norm ``most``. Each gradient is a list of the parts of its vector."""

    def clip(_: float) -> None:
        for parts in gradients:
            norm = _norm(parts[0]) if len(parts) == 1 else hypot(*map(_norm, parts))
            if norm > most:
                for g in parts:
                    np.multiply(g, most / norm, g)

    return clip


def _norm(vector: Array) -> float:
    """The Euclidean norm, which is right even if the squared norm overflows the vector's type."""
    square = float(np.dot(vector, vector))
    if square < float("inf"):
        return sqrt(square)
    largest = float(np.abs(vector).max())
    return largest * sqrt(float(np.square(vector / largest, dtype=np.float64).sum()))
