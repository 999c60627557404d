"""Checks of every optimizer."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np

from ..api import Array, Optimizer
from .components import exercise
from .gradients import apart
from .kit import Skipped, Subject, check, require, require_close, require_fast_form, require_finite

RATES = (1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
"""Multiples of ``default_lr``. A check of whether an optimizer descends tries all, and uses the best one."""
SEARCHES = 5
"""Number of updates to make with an optimizer that evaluates the loss itself (scope "search")."""
N = 60
"""Number of elements in the weight vectors that most checks use."""

Value = Callable[[Array], float]
Gradient = Callable[[Array], Array]


class Driven:
    """An optimizer with weights, slots and scratch array, ready to make updates."""

    def __init__(self, optimizer: Optimizer, w: Array) -> None:
        self.optimizer, self.w = optimizer, w
        self.slots = {name: np.zeros_like(w) for name in optimizer.slots}
        optimizer.begin(w, self.slots)
        self.step = 0
        self.scratch = np.full_like(w, np.nan)

    def update(self, g: Array, lr: Any = None) -> None:
        self.step += 1
        rate = self.optimizer.default_lr if lr is None else lr
        self.optimizer.update(self.w, g, self.slots, rate, self.step, self.scratch)

    def descend(self, value: Value, slope: Gradient, lr: float) -> None:
        """Take one step down a function. An optimizer with scope "search" uses its own search."""
        if self.optimizer.scope != "search":
            self.update(slope(self.w), lr)
            return
        g = np.empty_like(self.w)

        def evaluate() -> float:
            g[...] = slope(self.w)
            return value(self.w)

        self.optimizer.search(self.w, g, lr, evaluate)

    def arrays(self) -> dict[str, Array]:
        return {"w": self.w, **{f"slot {name!r}": vector for name, vector in self.slots.items()}}


def shape(subject: Subject, size: int = N) -> tuple[int, ...]:
    return (size // 10, 10) if subject.create().scope == "tensor" else (size,)


def draw(subject: Subject, steps: int, dtype: str = "float32", size: int = N) -> tuple[Array, Array]:
    """Initial weights, and the gradients of ``steps`` steps. Some elements have gradient 0 in every step."""
    if subject.create().scope == "search":
        raise Skipped("the optimizer evaluates the loss itself, so it is given no gradients")
    rng = np.random.default_rng(0)
    full_shape = shape(subject, size)
    gradients = rng.standard_normal((steps, *full_shape)).astype(dtype)
    gradients.reshape(steps, -1)[:, ::7] = 0
    return rng.standard_normal(full_shape).astype(dtype), gradients


def run(optimizer: Optimizer, w: Array, gradients: Array) -> Driven:
    driven = Driven(optimizer, w.copy())
    for g in gradients:
        driven.update(g)
    return driven


def require_same(words: str, actual: Driven, expected: Driven) -> None:
    for name, array in actual.arrays().items():
        require_close(f"{name} {words}", array, expected.arrays()[name])


@exercise("optimizer")
def use(subject: Subject) -> None:
    run(subject.create(), *draw(subject, 5))


def _lowest(subject: Subject, start: Array, value: Value, slope: Gradient, steps: int) -> float:
    """The lowest function value that the optimizer reaches with any of the learning rates."""
    # An optimizer that searches evaluates the loss many times in each update, so few updates suffice.
    searches = subject.create().scope == "search"
    reached = []
    for factor in (1.0,) if searches else RATES:
        driven = Driven(subject.create(), start.copy())
        for _ in range(SEARCHES if searches else steps):
            driven.descend(value, slope, driven.optimizer.default_lr * factor)
        end = value(driven.w)
        reached.append(end if isfinite(end) else np.inf)
    return min(reached)


@check("optimizer")
def it_descends_a_quadratic(subject: Subject) -> None:
    """With the best of several rates, Σ a w² / 2 for a from 0.1 to 1 falls to a tenth within 200 steps."""
    full_shape = shape(subject)
    a = np.linspace(0.1, 1, N).reshape(full_shape)
    start = np.random.default_rng(0).uniform(0.5, 1.5, full_shape)

    def value(w: Array) -> float:
        return float(np.sum(a * w * w)) / 2

    end = _lowest(subject, start, value, lambda w: a * w, 200)
    require(end < 0.1 * value(start), f"the function falls from {value(start):.4g} to {end:.4g} at best")


@check("optimizer")
def it_descends_the_rosenbrock_function(subject: Subject) -> None:
    """With the best of several rates, (1 − x)² + 100 (y − x²)² falls from 24.2 at (−1.2, 1) to below 4.5."""
    start = np.array([-1.2, 1.0])
    if subject.create().scope == "tensor":
        start = start[:, None]

    def value(w: Array) -> float:
        x, y = w.reshape(-1).tolist()
        return (1 - x) * (1 - x) + 100 * (y - x * x) * (y - x * x) if abs(x) < 1e9 > abs(y) else np.inf

    def slope(w: Array) -> Array:
        x, y = np.clip(w.reshape(-1), -1e9, 1e9).tolist()
        return np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)]).reshape(w.shape)

    end = _lowest(subject, start, value, slope, 400)
    require(end < 4.5, f"the function falls from 24.2 to {end:.4g} at best, expected below 4.5")


@check("optimizer")
def default_rate_and_scope_are_valid(subject: Subject) -> None:
    """``default_lr`` is a positive finite number, and ``scope`` and ``slots`` have supported values."""
    optimizer = subject.create()
    rate = getattr(optimizer, "default_lr", None)
    require(
        isinstance(rate, float | int) and 0 < rate < np.inf,
        f"default_lr is {rate!r}, expected a positive finite number",
    )
    scopes = ("element", "tensor", "search")
    require(optimizer.scope in scopes, f"scope is {optimizer.scope!r}, expected one of {', '.join(scopes)}")
    require(
        optimizer.evaluated is None or optimizer.evaluated in optimizer.slots,
        f"evaluated is {optimizer.evaluated!r}, expected one of the slots {optimizer.slots} or None",
    )


@check("optimizer")
def the_gradient_is_not_changed(subject: Subject) -> None:
    """An update changes the weights, but not the gradient."""
    w, gradients = draw(subject, 5)
    before = gradients.copy()
    driven = run(subject.create(), w, gradients)
    require_close("the gradient after an update", gradients, before)
    require(not np.array_equal(driven.w, w), "five updates have not changed any weight")


@check("optimizer")
def float32_is_kept(subject: Subject) -> None:
    """In float32, weights and slots stay float32, and the weights are near the float64 weights."""
    w, gradients = draw(subject, 20)
    single = run(subject.create(), w, gradients)
    double = run(subject.create(), w.astype("f8"), gradients.astype("f8"))
    for name, array in single.arrays().items():
        require(array.dtype == np.float32, f"{name} is {array.dtype} in a run of float32")
    require_close("w in float32", single.w, double.w, rtol=1e-3, atol=1e-3)


@check("optimizer")
def zero_gradients_give_finite_weights(subject: Subject) -> None:
    """Weights and slots stay finite when the gradient is 0, even at the first step."""
    w, gradients = draw(subject, 3)
    for first in (gradients, np.zeros_like(gradients)):
        driven = run(subject.create(), w, first)
        for name, array in driven.arrays().items():
            require_finite(f"{name}, where the gradient is 0,", array)


@check("optimizer")
def slices_equal_the_whole_vector(subject: Subject) -> None:
    """With scope "element", updating slices of a vector gives the same bits as updating the whole vector."""
    if subject.create().scope != "element":
        return
    w, gradients = draw(subject, 6, size=1000)
    undivided = run(subject.create(), w, gradients)
    parts = (slice(0, 300), slice(300, 301), slice(301, 1000))
    optimizer = subject.create()
    driven = [Driven(optimizer, w[part].copy()) for part in parts]
    for g in gradients:
        for slice_driven, part in zip(driven, parts, strict=True):
            slice_driven.update(g[part])
    for name, array in undivided.arrays().items():
        joined = np.concatenate([slice_driven.arrays()[name] for slice_driven in driven])
        require_close(
            f"{name}, updated in slices (if the rule mixes elements, as a norm does, set scope = 'tensor'),",
            joined,
            array,
        )


@check("optimizer")
def it_continues_from_weights_slots_and_step(subject: Subject) -> None:
    """A new instance that gets the saved weights, slots and step number continues to the same bits."""
    w, gradients = draw(subject, 10)
    first = run(subject.create(), w, gradients[:5])
    second = Driven(subject.create(), first.w.copy())
    second.slots = {name: vector.copy() for name, vector in first.slots.items()}
    second.step = first.step
    for g in gradients[5:]:
        first.update(g)
        second.update(g)
    require_same("of a continued run", second, first)


@check("optimizer")
def all_state_is_in_the_slots(subject: Subject) -> None:
    """An instance that updates two networks in turn does not mix them up: all state is in the slots."""
    w, gradients = draw(subject, 6)
    alone = run(subject.create(), w, gradients)
    optimizer = subject.create()
    first, second = Driven(optimizer, w.copy()), Driven(optimizer, 3 * w[..., ::-1].copy())
    for g in gradients:
        first.update(g)
        second.update(-2 * g)
    require_same("of one of two networks with one optimizer", first, alone)


@check("optimizer")
def stacked_networks_equal_single_networks(subject: Subject) -> None:
    """With scope "element", replicas stacked in rows, each with its own rate, are updated as if alone."""
    if subject.create().scope != "element":
        return
    w, gradients = draw(subject, 6, "float64")
    scale = np.array([[1.0], [-2.0], [0.5]])
    rates = np.array([[1.0], [0.3], [2.0]]) * subject.create().default_lr
    stacked = Driven(subject.create(), apart(w * scale))
    stacked.slots = {name: apart(vector) for name, vector in stacked.slots.items()}
    stacked.scratch = apart(stacked.scratch)
    for g in gradients:
        stacked.update(apart(g * scale), rates)
    for i, (factor, rate) in enumerate(zip(scale[:, 0], rates[:, 0], strict=True)):
        single = Driven(subject.create(), w * factor)
        for g in gradients:
            single.update(g * factor, float(rate))
        for name, array in single.arrays().items():
            require_close(f"{name} of replica {i}", stacked.arrays()[name][i], array, rtol=1e-12, atol=1e-14)


@check("optimizer")
def the_recurrence_equals_the_update(subject: Subject) -> None:
    """If ``recurrence`` returns A and B, the update computes z ← A z + B g with z = (w, slots)."""
    w, gradients = draw(subject, 6, "float64")
    driven = Driven(subject.create(), w.copy())
    for g in gradients:
        linear = driven.optimizer.recurrence(0.1)
        if linear is None:
            return
        A, B = (np.array(part) for part in linear)
        z = np.array(list(driven.arrays().values()))
        expected = np.tensordot(A, z, 1) + np.multiply.outer(B, g)
        driven.update(g, 0.1)
        for (name, array), expected_vector in zip(driven.arrays().items(), expected, strict=True):
            require_close(f"{name} by recurrence", array, expected_vector, rtol=1e-12, atol=1e-14)


@check("optimizer")
def an_update_allocates_no_vectors(subject: Subject) -> None:
    """With scope "element", an update allocates less than an eighth of the memory of the weights."""
    if subject.create().scope != "element":
        return
    require_fast_form(subject)
    w = np.ones(300_000, np.float32)
    driven, g = Driven(subject.create(), w), np.ones_like(w)
    driven.update(g)
    tracemalloc.start()
    try:
        driven.update(g)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    require(
        peak < w.nbytes / 8,
        f"an update allocates {peak:,} bytes for {w.nbytes:,} bytes of weights; write into scratch",
    )
