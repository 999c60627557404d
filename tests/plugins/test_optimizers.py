"""Optimizers: the papers' arithmetic, written out in loops, and what holds for every one of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from math import cos, sqrt
from typing import Any

import numpy as np
import pytest

from mlpframe import optim, registries
from mlpframe.api import Array, Optimizer, UsageError
from mlpframe.network import Network, build_layers
from mlpframe.optim import Updater
from mlpframe.rng import Streams

OPTIMIZERS = registries["optimizer"].names()
Vector = list[float]
Gradient = Callable[[Vector], Vector]


def create(name: str, **options: Any) -> Optimizer:
    made: Optimizer = registries["optimizer"].create(name, **options)
    return made


def shape_for(optimizer: Optimizer, size: int) -> tuple[int, ...]:
    """Arrays as the driver hands them over: vectors, or a parameter's own shape."""
    return (size,) if optimizer.scope == "element" else (size // 10, 10)


def slots_for(optimizer: Optimizer, w: Array) -> dict[str, Array]:
    return {name: np.zeros_like(w) for name in optimizer.slots}


def weights_only(n: int, dtype: str = "float64") -> Network:
    """A network whose parameters are one matrix of n weights: to drive an optimizer on any function."""
    layers = build_layers([{"name": "linear", "units": 1, "bias": False, "init": "zeros"}], 1)
    loss = registries["loss"].create("cross_entropy")
    return Network(layers, loss, n, np.zeros(1, np.intp), dtype, Streams(0))


# --- the update rules as their papers state them, one number after the other -------------------------


def reference_sgd(w: Vector, gradient: Gradient, rates: Sequence[float]) -> list[Vector]:
    path = []
    for rate in rates:
        w = [wi - rate * gi for wi, gi in zip(w, gradient(w), strict=True)]
        path.append(w)
    return path


def reference_momentum(
    w: Vector, gradient: Gradient, rates: Sequence[float], momentum: float = 0.9
) -> list[Vector]:
    w, v, path = list(w), [0.0] * len(w), []
    for rate in rates:
        g = gradient(w)
        for i in range(len(w)):
            v[i] = momentum * v[i] + g[i]
            w[i] = w[i] - rate * v[i]
        path.append(list(w))
    return path


def reference_nesterov(
    w: Vector, gradient: Gradient, rates: Sequence[float], momentum: float = 0.9
) -> list[Vector]:
    w, v, path = list(w), [0.0] * len(w), []
    for rate in rates:
        g = gradient(w)
        for i in range(len(w)):
            v[i] = momentum * v[i] + g[i]
            w[i] = w[i] - rate * (g[i] + momentum * v[i])
        path.append(list(w))
    return path


def reference_adam(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> list[Vector]:
    w, m, v, path = list(w), [0.0] * len(w), [0.0] * len(w), []
    for t, rate in enumerate(rates, 1):
        g = gradient(w)
        for i in range(len(w)):
            m[i] = beta1 * m[i] + (1 - beta1) * g[i]
            v[i] = beta2 * v[i] + (1 - beta2) * g[i] ** 2
            m_hat = m[i] / (1 - beta1**t)
            v_hat = v[i] / (1 - beta2**t)
            w[i] = w[i] - rate * (m_hat / (sqrt(v_hat) + epsilon) + weight_decay * w[i])
        path.append(list(w))
    return path


def quadratic(w: Vector) -> Vector:
    """The gradient of Σ a_i (w_i − c_i)² / 2 with curvatures a from 1 to 10, in 10 dimensions."""
    return [(1 + i) * (wi - (0.5 + i % 3)) for i, wi in enumerate(w)]


def rosenbrock(w: Vector) -> Vector:
    """The gradient of (1 − x)² + 100 (y − x²)²."""
    x, y = w
    return [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)]


PROBLEMS = {
    "quadratic": (quadratic, [cos(i) - 1.5 for i in range(10)], 0.02),
    "rosenbrock": (rosenbrock, [-1.2, 1.0], 2e-4),
}
ADAM_RATE = 0.02  # its steps have the size of the rate, whatever the curvature
RULES: list[tuple[str, dict[str, Any], Callable[..., list[Vector]], float | None]] = [
    # name, options, its reference, its rate if that is not the problem's
    ("sgd", {}, reference_sgd, None),
    ("momentum", {}, reference_momentum, None),
    ("momentum", {"momentum": 0.5}, reference_momentum, None),
    ("nesterov", {}, reference_nesterov, None),
    ("nesterov", {"momentum": 0.5}, reference_nesterov, None),
    ("adam", {}, reference_adam, ADAM_RATE),
    # at 0.02 this one is chaotic on Rosenbrock: the reference parts from itself, started 1e-16 beside
    ("adam", {"beta1": 0.5, "beta2": 0.9, "epsilon": 0.1}, reference_adam, 0.002),
    ("adam", {"beta1": 0.0, "beta2": 0.0, "epsilon": 1.0}, reference_adam, ADAM_RATE),
    ("adamw", {"weight_decay": 0.1, "epsilon": 1e-3}, reference_adam, ADAM_RATE),
]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(("name", "options", "reference", "own_rate"), RULES)
def test_follows_the_paper_over_hundreds_of_steps(
    name: str,
    options: dict[str, Any],
    reference: Callable[..., list[Vector]],
    own_rate: float | None,
    problem: str,
) -> None:
    gradient, start, rate = PROBLEMS[problem]
    rates = [(own_rate or rate) * (1 + cos(0.01 * step)) for step in range(500)]
    network = weights_only(len(start))
    network.w[...] = start
    updater = Updater(create(name, **options), network)
    path = []
    for lr in rates:
        network.g[...] = gradient(network.w.tolist())
        updater.update(lr)
        path.append(network.w.copy())
    expected = np.array(reference(start, gradient, rates, **options))
    assert np.abs(expected[-1] - start).max() > 0.1  # it has gone somewhere
    # weights are of size 1; the absolute part is for those that pass through 0
    np.testing.assert_allclose(path, expected, rtol=1e-12, atol=1e-14)


def test_adam_moves_by_the_rate_times_the_sign_at_first() -> None:
    # m̂ = g and v̂ = g² after one step, whatever β₁ and β₂ are, so the step is η g / (|g| + ε)
    g = np.array([3.0, -0.2, 1e-8, -1e-12, 0.0])
    for options in ({}, {"beta1": 0.3, "beta2": 0.5}, {"beta1": 0.0, "beta2": 0.0}):
        adam, w = create("adam", **options), np.zeros(5)
        adam.update(w, g, slots_for(adam, w), 0.01, 1, np.empty(5))
        np.testing.assert_allclose(w, -0.01 * g / (np.abs(g) + 1e-8), rtol=1e-12)


def test_adam_at_a_steady_gradient_keeps_its_first_step() -> None:
    # all weighted means of a constant are the constant: the corrections must be exact at every t
    adam, w, g = create("adam"), np.zeros(3), np.array([2.0, -1e-3, 50.0])
    slots, scratch = slots_for(adam, w), np.empty(3)
    for step in range(1, 2001):
        before = w.copy()
        adam.update(w, g, slots, 0.5, step, scratch)
        np.testing.assert_allclose(w - before, -0.5 * g / (np.abs(g) + 1e-8), rtol=1e-9)


def test_adam_leaves_weights_without_a_gradient_alone_even_with_the_smallest_epsilon() -> None:
    adam, w = create("adam", epsilon=1e-30), np.ones(4, np.float32)
    slots, scratch = slots_for(adam, w), np.empty_like(w)
    for step in range(1, 5):
        adam.update(w, np.zeros_like(w), slots, 0.1, step, scratch)
    assert w.tolist() == [1.0] * 4


def test_momentum_first_steps_by_hand() -> None:
    momentum, w, g = create("momentum"), np.zeros(1), np.ones(1)
    slots, scratch = slots_for(momentum, w), np.empty(1)
    momentum.update(w, g, slots, 0.1, 1, scratch)
    assert w[0] == pytest.approx(-0.1)  # v = 1
    momentum.update(w, g, slots, 0.1, 2, scratch)
    assert w[0] == pytest.approx(-0.1 - 0.19)  # v = 1.9: no dampening
    momentum.update(w, g, slots, 0.01, 3, scratch)
    assert w[0] == pytest.approx(-0.29 - 0.0271)  # v = 2.71: the new rate multiplies all of it


def test_momentum_is_the_heavy_ball_at_a_constant_rate() -> None:
    # Polyak: w_{t+1} = w_t − η g + μ (w_t − w_{t−1})
    gradient, start, rate = PROBLEMS["quadratic"]
    path = [start, start]
    for _ in range(300):
        steps = zip(path[-1], gradient(path[-1]), path[-2], strict=True)
        path.append([w - rate * g + 0.9 * (w - before) for w, g, before in steps])
    momentum, w = create("momentum"), np.array(start)
    slots, scratch = slots_for(momentum, w), np.empty(10)
    for step in range(1, 301):
        momentum.update(w, np.array(gradient(w.tolist())), slots, rate, step, scratch)
        np.testing.assert_allclose(w, path[step + 1], rtol=1e-10)


def test_nesterov_first_steps_by_hand() -> None:
    nesterov, w, g = create("nesterov"), np.zeros(1), np.ones(1)
    slots, scratch = slots_for(nesterov, w), np.empty(1)
    nesterov.update(w, g, slots, 0.1, 1, scratch)
    assert w[0] == pytest.approx(-0.19)  # v = 1, g + 0.9 v = 1.9
    nesterov.update(w, g, slots, 0.1, 2, scratch)
    assert w[0] == pytest.approx(-0.19 - 0.271)  # v = 1.9, g + 0.9 v = 2.71


def test_nesterov_runs_through_the_look_ahead_points_of_sutskever() -> None:
    # Sutskever et al. 2013, eqs. 3 and 4: u ← μ u − η ∇f(θ + μ u), θ ← θ + u; look-ahead point θ + μ u
    gradient, start, rate = PROBLEMS["rosenbrock"]
    theta, u, ahead = list(start), [0.0, 0.0], []
    for _ in range(300):
        g = gradient([t + 0.9 * ui for t, ui in zip(theta, u, strict=True)])
        u = [0.9 * ui - rate * gi for ui, gi in zip(u, g, strict=True)]
        theta = [t + ui for t, ui in zip(theta, u, strict=True)]
        ahead.append([t + 0.9 * ui for t, ui in zip(theta, u, strict=True)])
    nesterov, w = create("nesterov"), np.array(start)
    slots, scratch = slots_for(nesterov, w), np.empty(2)
    for step in range(1, 301):
        nesterov.update(w, np.array(gradient(w.tolist())), slots, rate, step, scratch)
        np.testing.assert_allclose(w, ahead[step - 1], rtol=1e-10)


def test_without_momentum_both_are_plain_gradient_descent() -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(50), rng.standard_normal((20, 50))
    ends = []
    for name, options in (("sgd", {}), ("momentum", {"momentum": 0.0}), ("nesterov", {"momentum": 0.0})):
        optimizer, w = create(name, **options), start.copy()
        slots, scratch = slots_for(optimizer, w), np.empty(50)
        for step, g in enumerate(gradients, 1):
            optimizer.update(w, g, slots, 0.1, step, scratch)
        ends.append(w)
    assert ends[0].tobytes() == ends[1].tobytes() == ends[2].tobytes()


def test_adamw_without_decay_is_adam() -> None:
    rng = np.random.default_rng(0)
    ends = []
    for optimizer in (create("adam"), create("adamw", weight_decay=0.0)):
        network = weights_only(50)
        network.w[...] = np.linspace(-1, 1, 50)
        updater, rng = Updater(optimizer, network), np.random.default_rng(0)
        for _ in range(20):
            network.g[...] = rng.standard_normal(50)
            updater.update(0.01)
        ends.append(network.w.tobytes())
    assert ends[0] == ends[1]


def test_adamw_decays_apart_from_the_gradient_unless_told_otherwise() -> None:
    assert create("adamw").shared.weight_decay == 0.01
    assert create("adamw").shared.decoupled
    assert not create("adamw", decoupled=False).shared.decoupled
    assert create("adam").shared.weight_decay == 0  # its base class is not changed


# --- what holds for every optimizer -----------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_descends_a_quadratic_at_its_default_rate(name: str) -> None:
    optimizer = create(name)
    shape = shape_for(optimizer, 100)
    curvature = np.linspace(0.1, 1.0, 100).reshape(shape)
    w = np.random.default_rng(0).uniform(0.5, 1.5, shape)
    slots, scratch = slots_for(optimizer, w), np.empty_like(w)
    values = []
    for step in range(1, 401):
        values.append(float(np.sum(curvature * w * w) / 2))
        optimizer.update(w, curvature * w, slots, optimizer.default_lr, step, scratch)
    assert values[-1] < 0.7 * values[0]
    assert all(later < earlier for earlier, later in zip(values[:300:50], values[50::50], strict=False))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_keeps_float32_and_leaves_the_gradient_as_it_is(name: str) -> None:
    optimizer = create(name)
    rng = np.random.default_rng(0)
    w = rng.standard_normal(shape_for(optimizer, 1000)).astype(np.float32)
    slots, scratch = slots_for(optimizer, w), np.empty_like(w)
    for step in range(1, 6):
        g = rng.standard_normal(w.shape).astype(np.float32)
        g.reshape(-1)[::7] = 0
        before, start = g.tobytes(), w.copy()
        optimizer.update(w, g, slots, 0.01, step, scratch)
        assert g.tobytes() == before
        assert not np.array_equal(w, start)
    assert all(array.dtype == np.float32 for array in (w, *slots.values()))
    assert np.isfinite(w).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float32_stays_close_to_float64(name: str) -> None:
    ends = []
    for dtype in (np.float32, np.float64):
        optimizer, rng = create(name), np.random.default_rng(0)
        w = rng.standard_normal(shape_for(optimizer, 1000)).astype(dtype)
        slots, scratch = slots_for(optimizer, w), np.empty_like(w)
        for step in range(1, 101):
            g = rng.standard_normal(w.shape).astype(dtype)
            optimizer.update(w, g, slots, 0.01, step, scratch)
        ends.append(w)
    np.testing.assert_allclose(ends[0], ends[1], atol=2e-5)


@pytest.mark.parametrize("size", [4000, optim.SLICE_BYTES])
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if create(name).scope == "element"])
def test_the_whole_vector_at_once_or_in_slices_is_the_same_to_the_bit(
    name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    n = 2 * optim.SLICE_BYTES // 4 + 77
    start = rng.standard_normal(n).astype(np.float32)
    gradients = rng.standard_normal((4, n)).astype(np.float32)

    whole, w = create(name, weight_decay=0.0), start.copy()
    slots, scratch = slots_for(whole, w), np.empty_like(w)
    for step, g in enumerate(gradients, 1):
        whole.update(w, g, slots, 0.01, step, scratch)

    monkeypatch.setattr(optim, "SLICE_BYTES", size)
    network = weights_only(n, "float32")
    network.w[...] = start
    updater = Updater(create(name, weight_decay=0.0), network)
    for g in gradients:
        network.g[...] = g
        updater.update(0.01)

    assert network.w.tobytes() == w.tobytes()
    for slot, vector in slots.items():
        assert updater.slots[slot].tobytes() == vector.tobytes()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_continues_to_the_same_bits_from_weights_slots_and_step(name: str) -> None:
    rng = np.random.default_rng(0)
    first = create(name)
    w = rng.standard_normal(shape_for(first, 1000)).astype(np.float32)
    gradients = rng.standard_normal((10, *w.shape)).astype(np.float32)
    slots, scratch = slots_for(first, w), np.empty_like(w)
    for step in range(1, 6):
        first.update(w, gradients[step - 1], slots, 0.01, step, scratch)
    copy_w, copies = w.copy(), {slot: vector.copy() for slot, vector in slots.items()}

    second, other_scratch = create(name), np.full_like(w, np.nan)  # scratch carries nothing over
    for step in range(6, 11):
        first.update(w, gradients[step - 1], slots, 0.01, step, scratch)
        second.update(copy_w, gradients[step - 1], copies, 0.01, step, other_scratch)
    assert copy_w.tobytes() == w.tobytes()
    assert all(copies[slot].tobytes() == vector.tobytes() for slot, vector in slots.items())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_allocates_no_array_of_the_size_of_the_parameters(name: str) -> None:
    optimizer = create(name)
    w = np.zeros(shape_for(optimizer, 1_000_000), np.float32)
    g, slots, scratch = np.ones_like(w), slots_for(optimizer, w), np.empty_like(w)
    optimizer.update(w, g, slots, 0.01, 1, scratch)
    tracemalloc.start()
    try:
        optimizer.update(w, g, slots, 0.01, 2, scratch)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < w.nbytes / 8  # a temporary of booleans would be a quarter


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rate_of_0_moves_nothing(name: str) -> None:
    optimizer = create(name)
    w = np.random.default_rng(0).standard_normal(shape_for(optimizer, 100)).astype(np.float32)
    before, slots, scratch = w.tobytes(), slots_for(optimizer, w), np.empty_like(w)
    for step in range(1, 4):
        optimizer.update(w, np.ones_like(w), slots, 0.0, step, scratch)
    assert w.tobytes() == before


@pytest.mark.parametrize(
    ("name", "option", "value", "bounds"),
    [
        ("momentum", "momentum", -0.1, "at least 0 and less than 1"),
        ("momentum", "momentum", 1.0, "at least 0 and less than 1"),
        ("nesterov", "momentum", -0.1, "at least 0 and less than 1"),
        ("nesterov", "momentum", 1.0, "at least 0 and less than 1"),
        ("adam", "beta1", -0.1, "at least 0 and less than 1"),
        ("adam", "beta1", 1.0, "at least 0 and less than 1"),
        ("adam", "beta2", 1.0, "at least 0 and less than 1"),
        ("adam", "beta2", float("nan"), "at least 0 and less than 1"),
        ("adam", "epsilon", 0.0, "at least 1e-30"),
        ("adamw", "beta1", 1.0, "at least 0 and less than 1"),
        ("adamw", "beta2", -1.0, "at least 0 and less than 1"),
        ("adamw", "epsilon", -1e-8, "at least 1e-30"),
        *((name, "weight_decay", -0.1, "at least 0") for name in OPTIMIZERS),
        *((name, "clip_norm", 0.0, "more than 0") for name in OPTIMIZERS),
    ],
)
def test_refuses_options_out_of_range(name: str, option: str, value: float, bounds: str) -> None:
    with pytest.raises(UsageError, match=f"{name}.*{option} must be {bounds}, not {value:g}"):
        create(name, **{option: value})
