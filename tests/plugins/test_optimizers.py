"""Optimizers: the papers' arithmetic, written out in loops, and what holds for every one of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from math import cos, hypot, prod, sqrt
from typing import Any

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import Array, Block, Optimizer, Table, UsageError
from mlpframe.training import optim
from mlpframe.training.engines import create_engine
from mlpframe.training.network import Network, build_layers
from mlpframe.training.optim import Updater
from mlpframe.training.rng import Streams

OPTIMIZERS = [
    name for name in registries["optimizer"].names() if registries["optimizer"].create(name).scope != "search"
]
"""Those that are handed gradients; for one that evaluates the loss itself see at the end."""
Vector = list[float]
Gradient = Callable[[Vector], Vector]


def create(name: str, **options: Any) -> Optimizer:
    made: Optimizer = registries["optimizer"].create(name, **options)
    return made


def shape_for(optimizer: Optimizer, size: int) -> tuple[int, ...]:
    """Arrays as the driver hands them over: vectors, or a parameter's own shape."""
    return (size,) if optimizer.scope == "element" else (size // 10, 10)


def slots_for(optimizer: Optimizer, w: Array) -> dict[str, Array]:
    slots = {name: np.zeros_like(w) for name in optimizer.slots}
    optimizer.begin(w, slots)
    return slots


def steps_at(name: str, gradients: Sequence[float], rate: float = 1.0, **options: Any) -> list[float]:
    """By how much a weight at 0 is moved by each of its gradients."""
    optimizer, w = create(name, **options), np.zeros(1)
    slots, scratch, moves = slots_for(optimizer, w), np.empty(1), []
    for step, g in enumerate(gradients, 1):
        before = w[0]
        optimizer.update(w, np.array([g]), slots, rate, step, scratch)
        moves.append(w[0] - before)
    return moves


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


def reference_adagrad(
    w: Vector, gradient: Gradient, rates: Sequence[float], initial: float = 0.0, epsilon: float = 1e-10
) -> list[Vector]:
    w, squares, path = list(w), [initial] * len(w), []
    for rate in rates:
        g = gradient(w)
        for i in range(len(w)):
            squares[i] += g[i] ** 2
            w[i] -= rate * g[i] / (sqrt(squares[i]) + epsilon)
        path.append(list(w))
    return path


def reference_adadelta(
    w: Vector, gradient: Gradient, rates: Sequence[float], decay: float = 0.95, epsilon: float = 1e-6
) -> list[Vector]:
    w, s, d, path = list(w), [0.0] * len(w), [0.0] * len(w), []
    for rate in rates:
        g = gradient(w)
        for i in range(len(w)):
            s[i] = decay * s[i] + (1 - decay) * g[i] ** 2
            delta = sqrt(d[i] + epsilon) / sqrt(s[i] + epsilon) * g[i]
            d[i] = decay * d[i] + (1 - decay) * delta**2
            w[i] -= rate * delta
        path.append(list(w))
    return path


def reference_rmsprop(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    decay: float = 0.9,
    epsilon: float = 1e-8,
    centered: bool = False,
) -> list[Vector]:
    w, m, v, path = list(w), [0.0] * len(w), [0.0] * len(w), []
    for rate in rates:
        g = gradient(w)
        for i in range(len(w)):
            m[i] = decay * m[i] + (1 - decay) * g[i]
            v[i] = decay * v[i] + (1 - decay) * g[i] ** 2
            w[i] -= rate * g[i] / (sqrt(v[i] - centered * m[i] ** 2) + epsilon)
        path.append(list(w))
    return path


def reference_amsgrad(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> list[Vector]:
    w, m, v, u, path = list(w), [0.0] * len(w), [0.0] * len(w), [0.0] * len(w), []
    for t, rate in enumerate(rates, 1):
        g = gradient(w)
        for i in range(len(w)):
            m[i] = beta1 * m[i] + (1 - beta1) * g[i]
            v[i] = beta2 * v[i] + (1 - beta2) * g[i] ** 2
            u[i] = max(u[i], v[i])
            w[i] -= rate * m[i] / (1 - beta1**t) / (sqrt(u[i] / (1 - beta2**t)) + epsilon)
        path.append(list(w))
    return path


def reference_adamax(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> list[Vector]:
    w, m, u, path = list(w), [0.0] * len(w), [0.0] * len(w), []
    for t, rate in enumerate(rates, 1):
        g = gradient(w)
        for i in range(len(w)):
            m[i] = beta1 * m[i] + (1 - beta1) * g[i]
            u[i] = max(beta2 * u[i], abs(g[i]) + epsilon)
            w[i] -= rate / (1 - beta1**t) * m[i] / u[i]
        path.append(list(w))
    return path


def reference_nadam(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    momentum_decay: float = 0.004,
) -> list[Vector]:
    mu = [0.0] + [beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in range(1, len(rates) + 2)]
    w, m, v, path = list(w), [0.0] * len(w), [0.0] * len(w), []
    for t, rate in enumerate(rates, 1):
        g = gradient(w)
        now, ahead = 1 - prod(mu[1 : t + 1]), 1 - prod(mu[1 : t + 2])
        for i in range(len(w)):
            m[i] = beta1 * m[i] + (1 - beta1) * g[i]
            v[i] = beta2 * v[i] + (1 - beta2) * g[i] ** 2
            m_hat = mu[t + 1] * m[i] / ahead + (1 - mu[t]) * g[i] / now
            w[i] -= rate * m_hat / (sqrt(v[i] / (1 - beta2**t)) + epsilon)
        path.append(list(w))
    return path


def reference_radam(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> list[Vector]:
    w, m, v, path = list(w), [0.0] * len(w), [0.0] * len(w), []
    longest = 2 / (1 - beta2) - 1
    for t, rate in enumerate(rates, 1):
        g = gradient(w)
        rho = longest - 2 * t * beta2**t / (1 - beta2**t)
        for i in range(len(w)):
            m[i] = beta1 * m[i] + (1 - beta1) * g[i]
            v[i] = beta2 * v[i] + (1 - beta2) * g[i] ** 2
            move = m[i] / (1 - beta1**t)
            if rho > 5:
                r = sqrt((rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho))
                move *= r * sqrt(1 - beta2**t) / (sqrt(v[i]) + epsilon)
            w[i] -= rate * move
        path.append(list(w))
    return path


def reference_adabelief(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-16,
) -> list[Vector]:
    w, m, s, path = list(w), [0.0] * len(w), [0.0] * len(w), []
    for t, rate in enumerate(rates, 1):
        g = gradient(w)
        for i in range(len(w)):
            m[i] = beta1 * m[i] + (1 - beta1) * g[i]
            s[i] = beta2 * s[i] + (1 - beta2) * (g[i] - m[i]) ** 2 + epsilon
            w[i] -= rate * m[i] / (1 - beta1**t) / (sqrt(s[i] / (1 - beta2**t)) + epsilon)
        path.append(list(w))
    return path


def reference_lion(
    w: Vector, gradient: Gradient, rates: Sequence[float], beta1: float = 0.9, beta2: float = 0.99
) -> list[Vector]:
    w, m, path = list(w), [0.0] * len(w), []
    for rate in rates:
        g = gradient(w)
        for i in range(len(w)):
            c = beta1 * m[i] + (1 - beta1) * g[i]
            w[i] -= rate * ((c > 0) - (c < 0))
            m[i] = beta2 * m[i] + (1 - beta2) * g[i]
        path.append(list(w))
    return path


def reference_lars(
    w: Vector, gradient: Gradient, rates: Sequence[float], momentum: float = 0.9, trust: float = 0.001
) -> list[Vector]:
    w, v, path = list(w), [0.0] * len(w), []
    for rate in rates:
        g = gradient(w)
        local = trust * hypot(*w) / hypot(*g)
        for i in range(len(w)):
            v[i] = momentum * v[i] + rate * local * g[i]
            w[i] -= v[i]
        path.append(list(w))
    return path


def reference_lamb(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-6,
) -> list[Vector]:
    w, m, v, path = list(w), [0.0] * len(w), [0.0] * len(w), []
    for t, rate in enumerate(rates, 1):
        g, r = gradient(w), [0.0] * len(w)
        for i in range(len(w)):
            m[i] = beta1 * m[i] + (1 - beta1) * g[i]
            v[i] = beta2 * v[i] + (1 - beta2) * g[i] ** 2
            r[i] = m[i] / (1 - beta1**t) / (sqrt(v[i] / (1 - beta2**t)) + epsilon)
        ratio = hypot(*w) / hypot(*r)
        w = [wi - rate * ratio * ri for wi, ri in zip(w, r, strict=True)]
        path.append(list(w))
    return path


def reference_rprop(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    initial: float = 0.01,
    grow: float = 1.2,
    shrink: float = 0.5,
    smallest: float = 1e-6,
    largest: float = 50.0,
) -> list[Vector]:
    w, size, before, path = list(w), [initial] * len(w), [0.0] * len(w), []
    for rate in rates:
        g = gradient(w)
        for i in range(len(w)):
            if g[i] * before[i] > 0:
                size[i] = min(size[i] * grow, largest)
            elif g[i] * before[i] < 0:
                size[i] = max(size[i] * shrink, smallest)
                g[i] = 0.0
            w[i] -= rate * size[i] * ((g[i] > 0) - (g[i] < 0))
            before[i] = g[i]
        path.append(list(w))
    return path


def reference_muon(
    w: Vector, gradient: Gradient, rates: Sequence[float], momentum: float = 0.95, iterations: int = 5
) -> list[Vector]:
    """Of a matrix with one column: U S Vᵀ is u ‖u‖ 1, and the iteration is one of its only singular value."""
    w, v, path = list(w), [0.0] * len(w), []
    for rate in rates:
        g = gradient(w)
        v = [momentum * vi + gi for vi, gi in zip(v, g, strict=True)]
        u = [gi + momentum * vi for vi, gi in zip(v, g, strict=True)]
        length, sigma = hypot(*u), 1.0
        for _ in range(iterations):
            sigma = 3.4445 * sigma - 4.7750 * sigma**3 + 2.0315 * sigma**5
        w = [wi - rate * sigma * ui / length for wi, ui in zip(w, u, strict=True)]
        path.append(list(w))
    return path


def reference_schedule_free(
    w: Vector, gradient: Gradient, rates: Sequence[float], momentum: float = 0.9, kept: bool = False
) -> list[Vector]:
    """Of y, where gradients are taken next, or of x, which is kept."""
    z, x, path = list(w), list(w), []
    for t, rate in enumerate(rates, 1):
        g = gradient([(1 - momentum) * zi + momentum * xi for zi, xi in zip(z, x, strict=True)])
        z = [zi - rate * gi for zi, gi in zip(z, g, strict=True)]
        x = [(1 - 1 / t) * xi + zi / t for zi, xi in zip(z, x, strict=True)]
        path.append(x if kept else [(1 - momentum) * zi + momentum * xi for zi, xi in zip(z, x, strict=True)])
    return path


MOMENTUM = {"name": "momentum", "momentum": 0.5}


def reference_lookahead(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    inner: Any = MOMENTUM,
    k: int = 5,
    alpha: float = 0.5,
    kept: bool = False,
) -> list[Vector]:
    """Around momentum; of the fast weights, or of the slow ones, which are kept."""
    fast, slow, v, path = list(w), list(w), [0.0] * len(w), []
    for t, rate in enumerate(rates, 1):
        g = gradient(fast)
        for i in range(len(w)):
            v[i] = inner["momentum"] * v[i] + g[i]
            fast[i] -= rate * v[i]
        if t % k == 0:
            slow = [s + alpha * (f - s) for s, f in zip(slow, fast, strict=True)]
            fast = list(slow)
        path.append(list(slow if kept else fast))
    return path


def reference_ema(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    inner: Any = MOMENTUM,
    decay: float = 0.999,
    kept: bool = False,
) -> list[Vector]:
    """Around momentum; of its weights, or of their weighted means, which are kept."""
    path = reference_momentum(w, gradient, rates, inner["momentum"])
    if not kept:
        return path
    means = []
    for t in range(1, len(path) + 1):
        shares = [decay ** (t - i) for i in range(1, t + 1)]
        sums = [sum(s * p[j] for s, p in zip(shares, path, strict=False)) for j in range(len(w))]
        means.append([total / sum(shares) for total in sums])
    return means


def reference_swa(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    inner: Any = MOMENTUM,
    start: int = 100,
    every: int = 10,
    kept: bool = False,
) -> list[Vector]:
    """Around momentum; of its weights, or of their means, which are kept."""
    path = reference_momentum(w, gradient, rates, inner["momentum"])
    if not kept:
        return path
    means = []
    for t in range(1, len(path) + 1):
        chosen = [path[i - 1] for i in range(start, t + 1, every)] or [path[t - 1]]
        means.append([sum(p[j] for p in chosen) / len(chosen) for j in range(len(w))])
    return means


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
    ("adagrad", {}, reference_adagrad, 0.1),
    ("adagrad", {"initial": 0.5, "epsilon": 0.1}, reference_adagrad, 0.1),
    ("adadelta", {}, reference_adadelta, 0.3),
    ("adadelta", {"decay": 0.8, "epsilon": 1e-4}, reference_adadelta, 0.05),
    ("rmsprop", {}, reference_rmsprop, 0.002),
    ("rmsprop", {"decay": 0.5, "epsilon": 1.0}, reference_rmsprop, 0.002),
    ("rmsprop", {"centered": True, "epsilon": 1.0}, reference_rmsprop, 0.002),
    ("amsgrad", {}, reference_amsgrad, ADAM_RATE),
    ("amsgrad", {"beta1": 0.5, "beta2": 0.9, "epsilon": 0.1}, reference_amsgrad, 0.002),
    ("adamax", {}, reference_adamax, ADAM_RATE),
    ("adamax", {"beta1": 0.5, "beta2": 0.9, "epsilon": 1.0}, reference_adamax, 0.002),
    ("nadam", {}, reference_nadam, ADAM_RATE),
    ("nadam", {"beta1": 0.5, "epsilon": 0.1, "momentum_decay": 0.1}, reference_nadam, ADAM_RATE),
    ("radam", {}, reference_radam, 0.001),
    ("radam", {"beta1": 0.5, "beta2": 0.99, "epsilon": 0.1}, reference_radam, 0.001),
    ("radam", {"beta2": 0.5}, reference_radam, 2e-4),  # the second moment is never known well enough
    ("adabelief", {}, reference_adabelief, ADAM_RATE),
    ("adabelief", {"beta1": 0.5, "beta2": 0.99, "epsilon": 1e-3}, reference_adabelief, 0.002),
    ("lion", {}, reference_lion, 0.002),
    ("lion", {"beta1": 0.5, "beta2": 0.9}, reference_lion, 0.002),
    ("lars", {}, reference_lars, 0.3),
    ("lars", {"momentum": 0.5, "trust": 0.01}, reference_lars, 0.2),
    ("lamb", {}, reference_lamb, 0.002),
    ("lamb", {"beta1": 0.5, "beta2": 0.9, "epsilon": 0.1}, reference_lamb, 0.002),
    ("rprop", {}, reference_rprop, 1.0),
    ("rprop", {"initial": 1e-3, "grow": 1.5, "shrink": 0.7, "largest": 0.1}, reference_rprop, 0.5),
    ("muon", {}, reference_muon, 0.002),
    ("muon", {"momentum": 0.5, "iterations": 3}, reference_muon, 0.002),
    ("schedule_free", {}, reference_schedule_free, None),
    ("schedule_free", {"momentum": 0.5}, reference_schedule_free, None),
    ("lookahead", {"inner": MOMENTUM}, reference_lookahead, None),
    ("lookahead", {"inner": MOMENTUM, "k": 3, "alpha": 0.3}, reference_lookahead, None),
    ("ema", {"inner": MOMENTUM}, reference_ema, None),
    ("ema", {"inner": MOMENTUM, "decay": 0.9}, reference_ema, None),
    ("swa", {"inner": MOMENTUM}, reference_swa, None),
    ("swa", {"inner": MOMENTUM, "start": 7, "every": 1}, reference_swa, None),
]


def test_every_update_rule_has_a_reference() -> None:
    assert {name for name, *_ in RULES} == set(OPTIMIZERS)


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
    path, kept = [], []
    for lr in rates:
        network.g[...] = gradient(network.w.tolist())
        updater.update(lr)
        path.append(network.w.copy())
        with updater.evaluated():
            kept.append(network.w.copy())
        assert network.w.tobytes() == path[-1].tobytes()
    expected = np.array(reference(start, gradient, rates, **options))
    assert np.abs(expected[-1] - start).max() > 0.1  # it has gone somewhere
    # weights are of size 1; the absolute part is for those that pass through 0
    np.testing.assert_allclose(path, expected, rtol=1e-12, atol=1e-14)
    if updater.optimizer.evaluated is not None:
        expected = np.array(reference(start, gradient, rates, **options, kept=True))
    np.testing.assert_allclose(kept, expected, rtol=1e-12, atol=1e-14)


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


# --- what follows from the rules, in closed form ------------------------------------------------------


def test_adagrad_at_a_steady_gradient_takes_steps_of_one_by_the_root_of_their_number() -> None:
    moves = steps_at("adagrad", [3.0] * 100, 0.5)
    np.testing.assert_allclose(moves, [-0.5 / sqrt(t) for t in range(1, 101)], rtol=1e-9)


def test_adadelta_begins_with_steps_of_the_root_of_epsilon() -> None:
    for g in (1e-2, 1.0, -1e4):
        (move,) = steps_at("adadelta", [g])
        assert move == pytest.approx(-g * sqrt(1e-6 / (0.05 * g * g + 1e-6)), rel=1e-12)


def test_adadelta_knows_no_unit_of_the_loss() -> None:
    moves = [steps_at("adadelta", [c * 3.0, c * -1.0, c * 2.0], epsilon=1e-30) for c in (1.0, 1e5)]
    np.testing.assert_allclose(moves[0], moves[1], rtol=1e-12)


def test_rmsprop_at_a_steady_gradient_comes_to_steps_of_the_rate() -> None:
    moves = steps_at("rmsprop", [-7.0] * 200, 0.5)
    for t in (1, 2, 10):
        assert moves[t - 1] == pytest.approx(0.5 / sqrt(1 - 0.9**t), rel=1e-7)
    assert moves[-1] == pytest.approx(0.5, rel=1e-8)


def test_centred_rmsprop_divides_by_a_variance_that_rounding_cannot_make_negative() -> None:
    # v − m² of a steady gradient is ρᵗ (1 − ρᵗ) g², which as a difference is lost in rounding near t = 350
    moves = steps_at("rmsprop", [3.0] * 600, centered=True)
    for t in (1, 5, 50, 500):
        deviation = 3.0 * sqrt(0.9**t * (1 - 0.9**t))
        assert moves[t - 1] == pytest.approx(-3.0 / (deviation + 1e-8), rel=1e-9)


def test_amsgrad_does_not_forget_a_large_gradient() -> None:
    steady = [1.0] * 400
    amsgrad = steps_at("amsgrad", [100.0, *steady], beta1=0.0, beta2=0.9)
    adam = steps_at("adam", [100.0, *steady], beta1=0.0, beta2=0.9)
    assert adam[-1] == pytest.approx(-1, rel=1e-6)
    assert amsgrad[-1] == pytest.approx(-1 / sqrt(0.1 * 100**2), rel=1e-6)  # v is largest after the first


def test_adamax_moves_by_the_rate_at_most_while_gradients_keep_their_size() -> None:
    moves = steps_at("adamax", [2.0, 2.0, -2.0, 2.0], 0.1)
    assert moves[:2] == pytest.approx([-0.1, -0.1], rel=1e-8)
    assert moves[2] == pytest.approx(0.1 * -(0.9**2 + 0.9 - 1) / (1 + 0.9 + 0.81), rel=1e-8)
    assert steps_at("adamax", [0.0, 0.0]) == [0.0, 0.0]


def test_nadam_first_step_by_hand() -> None:
    # μ₁ and μ₂ are near 0.45: step η (μ₂ (1 − β₁) / (1 − μ₁ μ₂) + 1) against the sign
    one, two = (0.9 * (1 - 0.5 * 0.96 ** (t * 0.004)) for t in (1, 2))
    (move,) = steps_at("nadam", [5.0], 0.1)
    assert move == pytest.approx(-0.1 * (two * 0.1 / (1 - one * two) + 1), rel=1e-8)


def test_radam_takes_steps_of_momentum_until_the_sixth() -> None:
    moves = steps_at("radam", [4.0] * 8, 0.1)
    np.testing.assert_allclose(moves[:5], -0.4, rtol=1e-12)
    longest = 1999.0
    for t in (6, 7, 8):
        rho = longest - 2 * t * 0.999**t / (1 - 0.999**t)
        r = sqrt((rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho))
        assert moves[t - 1] == pytest.approx(-0.1 * r, rel=1e-6)


def test_adabelief_takes_longer_steps_where_the_gradient_is_as_expected() -> None:
    # a steady gradient deviates from its mean by β₁ᵗ g, ever less; one that alternates by more than itself
    steady, alternating = steps_at("adabelief", [2.0] * 50), steps_at("adabelief", [2.0, -2.0] * 25)
    assert steady[0] == pytest.approx(-1 / 0.9, rel=1e-6)
    squares = sum(0.999 ** (50 - i) * 0.81**i for i in range(1, 51))
    assert steady[-1] == pytest.approx(-1 / sqrt(squares * 0.001 / (1 - 0.999**50)), rel=1e-6)
    assert abs(steady[-1]) > 3
    assert abs(alternating[-1]) < 0.1


def test_lion_moves_by_the_rate_whatever_the_gradient() -> None:
    assert steps_at("lion", [1e-20, -1e9, 0.0], 0.5) == [-0.5, 0.5, 0.5]
    # at the third the mean, 0.99 m + 0.01 g before, is still that of the second


def test_rprop_first_steps_by_hand() -> None:
    moves = steps_at("rprop", [3.0, 0.1, -7.0, -7.0, -1.0, 0.0, -1.0])
    # grows; turns round: halved, waits; goes at that size, grows; no gradient: waits; as before
    np.testing.assert_allclose(moves, [-0.01, -0.012, 0, 0.006, 0.0072, 0, 0.0072], rtol=1e-12)


def test_rprop_keeps_its_step_sizes_within_bounds() -> None:
    assert steps_at("rprop", [1.0] * 100)[-1] == -50.0
    assert abs(steps_at("rprop", [1.0, -1.0, -1.0, 1.0, 1.0] * 40, smallest=1e-4)[-2]) <= 1.2e-4


@pytest.mark.parametrize(("name", "relative"), [("lars", 0.3 * 0.001), ("lamb", 0.3)])
def test_a_layer_moves_in_proportion_to_its_weights(name: str, relative: float) -> None:
    rng = np.random.default_rng(0)
    w, g = 7 * rng.standard_normal((6, 4)), rng.standard_normal((6, 4))
    for scale in (1e-3, 1.0, 1e3):
        optimizer, moved = create(name), w.copy()
        optimizer.update(moved, scale * g, slots_for(optimizer, w), 0.3, 1, np.empty_like(w))
        assert np.linalg.norm(moved - w) == pytest.approx(relative * np.linalg.norm(w), rel=1e-9)


@pytest.mark.parametrize(("name", "plain"), [("lars", "momentum"), ("lamb", "adam")])
@pytest.mark.parametrize("shape", [(5,), (5, 3)])
def test_a_bias_and_a_matrix_of_zeros_move_as_without_layers(
    name: str, plain: str, shape: tuple[int, ...]
) -> None:
    g, ends = np.random.default_rng(0).standard_normal(shape), []
    for one in (create(name), create(plain, **({"epsilon": 1e-6} if plain == "adam" else {}))):
        w = np.zeros(shape)
        one.update(w, g, slots_for(one, w), 0.3, 1, np.empty_like(w))
        ends.append(w)
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-14)
    assert np.abs(ends[0]).min() > 0


@pytest.mark.parametrize("shape", [(8, 8), (20, 6), (6, 20), (1, 5), (5, 1), (3000, 12)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_muon_moves_all_directions_of_a_matrix_alike(shape: tuple[int, int], scale: float) -> None:
    rng = np.random.default_rng(0)
    rank = min(shape)
    U, _, V = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
    g = scale * (U * np.geomspace(1, 0.03, rank)) @ V
    muon, w = create("muon"), np.zeros(shape)
    muon.update(w, g, slots_for(muon, w), 1.0, 1, np.empty_like(w))
    factor = sqrt(max(1.0, shape[1] / shape[0]))
    found = np.diag(U.T @ -w @ V.T) / factor  # along the gradient's own directions
    assert ((found > 0.65) & (found < 1.25)).all()
    np.testing.assert_allclose((U * found) @ V * factor, -w, atol=1e-9)  # and along no others


def test_muon_follows_newton_and_schulz_written_out() -> None:
    rng = np.random.default_rng(0)
    w, v, gradients = rng.standard_normal((7, 4)), np.zeros((7, 4)), rng.standard_normal((30, 7, 4))
    muon, expected = create("muon"), w.copy()
    slots, scratch = slots_for(muon, w), np.empty_like(w)
    for step, g in enumerate(gradients, 1):
        muon.update(w, g, slots, 0.1, step, scratch)
        v = 0.95 * v + g
        X = (g + 0.95 * v).T  # (n_out, n_in), as the source has it
        X = X / np.sqrt((X * X).sum())
        for _ in range(5):
            X = 3.4445 * X - 4.7750 * (X @ X.T) @ X + 2.0315 * (X @ X.T) @ (X @ X.T) @ X
        expected = expected - 0.1 * X.T
        np.testing.assert_allclose(w, expected, rtol=1e-11, atol=1e-13)


def test_muon_moves_biases_by_nesterovs_momentum() -> None:
    rng, ends = np.random.default_rng(0), []
    gradients = rng.standard_normal((10, 5))
    for optimizer in (create("muon"), create("nesterov", momentum=0.95)):
        w = np.zeros(5)
        slots, scratch = slots_for(optimizer, w), np.empty(5)
        for step, g in enumerate(gradients, 1):
            optimizer.update(w, g, slots, 0.1, step, scratch)
        ends.append(w)
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-13)


def test_lookahead_of_every_step_taken_whole_is_its_inner_optimizer() -> None:
    gradients = [1.0, -3.0, 0.5, 2.0]
    assert steps_at("lookahead", gradients, inner="adam", k=1, alpha=1.0) == pytest.approx(
        steps_at("adam", gradients), rel=1e-12
    )


def test_an_average_that_forgets_all_is_the_latest() -> None:
    optimizer, w = create("ema", inner="sgd", decay=0.0), np.zeros(1)
    slots = slots_for(optimizer, w)
    for step in range(1, 6):
        optimizer.update(w, np.ones(1), slots, 0.1, step, np.empty(1))
        assert slots["ema"] == pytest.approx(w)


def test_an_average_starts_as_the_weights() -> None:
    for name in ("ema", "swa", "lookahead", "schedule_free"):
        network = weights_only(3)
        network.w[...] = [1.0, 2.0, 3.0]
        updater = Updater(create(name), network)
        with updater.evaluated():
            assert network.w.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("name", ["lookahead", "ema", "swa"])
@pytest.mark.parametrize("inner", ["adam", "muon", "rprop", {"name": "adam", "beta1": 0.5}], ids=str)
def test_a_wrapper_is_driven_as_its_inner_optimizer_is(name: str, inner: Any) -> None:
    wrapper, alone = create(name, inner=inner), create(inner if isinstance(inner, str) else "adam")
    assert wrapper.default_lr == alone.default_lr
    assert wrapper.scope == alone.scope
    assert wrapper.slots == (*alone.slots, wrapper.evaluated)


@pytest.mark.parametrize("name", ["lookahead", "ema", "swa"])
@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ("lbfgs", "without search or averaged weights, not lbfgs"),
        ("ema", "without search or averaged weights, not ema"),
        ("adamw", "inner=adamw sets .*weight_decay=0.01"),
        ({"name": "sgd", "clip_norm": 1.0}, "inner=sgd sets clip_norm=1.0"),
        ({"name": "sgd", "momentum": 0.9}, "'sgd' has no option 'momentum'"),
        ("adm", "no optimizer 'adm'; nearest: adam"),
    ],
    ids=str,
)
def test_a_wrapper_refuses_an_inner_optimizer_that_it_would_change(
    name: str, inner: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        create(name, inner=inner)


# --- what holds for every optimizer -----------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_descends_a_quadratic_at_its_default_rate(name: str) -> None:
    optimizer = create(name)
    shape = shape_for(optimizer, 100)
    curvature = np.linspace(0.1, 1.0, 100).reshape(shape)
    w = np.random.default_rng(0).uniform(0.5, 1.5, shape)
    slots, scratch = slots_for(optimizer, w), np.empty_like(w)
    values = []
    for step in range(1, 1001):
        values.append(float(np.sum(curvature * w * w) / 2))
        optimizer.update(w, curvature * w, slots, optimizer.default_lr, step, scratch)
    assert values[-1] < 0.7 * values[0]
    small = 0.002 * values[0]  # rules of steps of a fixed size go to and fro there
    pairs = zip(values[:300:50], values[50::50], strict=False)
    assert all(later < max(earlier, small) for earlier, later in pairs)


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
        ("adagrad", "initial", -1.0, "at least 0"),
        ("adagrad", "epsilon", 0.0, "at least 1e-30"),
        ("adadelta", "decay", 1.0, "at least 0 and less than 1"),
        ("rmsprop", "decay", 1.0, "at least 0 and less than 1"),
        ("nadam", "momentum_decay", -1.0, "at least 0"),
        ("lars", "trust", 0.0, "more than 0"),
        ("rprop", "grow", 1.0, "more than 1"),
        ("rprop", "shrink", 1.0, "more than 0 and less than 1"),
        ("rprop", "largest", 1e-7, "at least 1e-06"),
        ("muon", "iterations", 0, "at least 1"),
        ("lookahead", "k", 0, "at least 1"),
        ("lookahead", "alpha", 1.5, "more than 0 and at most 1"),
        ("ema", "decay", 1.0, "at least 0 and less than 1"),
        ("swa", "start", 0, "at least 1"),
        ("swa", "every", 0, "at least 1"),
        ("lbfgs", "iterations", 0, "at least 1"),
        *((name, "weight_decay", -0.1, "at least 0") for name in OPTIMIZERS),
        *((name, "clip_norm", 0.0, "more than 0") for name in OPTIMIZERS),
    ],
)
def test_refuses_options_out_of_range(name: str, option: str, value: float, bounds: str) -> None:
    with pytest.raises(UsageError, match=f"{name}.*{option} must be {bounds}, not {value:g}"):
        create(name, **{option: value})


def test_centred_rmsprop_needs_a_mean_of_more_than_the_latest() -> None:
    with pytest.raises(UsageError, match="decay must be more than 0, not 0"):
        create("rmsprop", centered=True, decay=0.0)


# --- the one that evaluates the loss itself ----------------------------------------------------------


def linear_regression(dtype: str = "float64", rows: int = 200) -> tuple[Network, Table]:
    """One linear layer under the mean squared error, with weights that are not 0 at first."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, 5)) * [1, 2, 3, 0.5, 0.1] + 1
    y = x @ rng.standard_normal((5, 2)) + rng.standard_normal((rows, 2))
    init = {"name": "normal", "std": 0.5}
    layers = build_layers([{"name": "linear", "units": 2, "init": init}], 2)
    table = Table(x.astype(dtype), y.astype(dtype))
    return Network(layers, registries["loss"].create("mse"), 5, table.y, dtype, Streams(0)), table


def search(network: Network, table: Table, updates: int = 1, lr: float = 1.0, **options: Any) -> float:
    updater = Updater(create("lbfgs", **options), network)
    plan = network.plan(len(table), training=True)
    plan.fill(table, np.arange(len(table)))
    return [updater.search(lr, plan.step) for _ in range(updates)][-1]


@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_lbfgs_ends_at_the_normal_equations_of_ridge_regression(decay: float) -> None:
    network, table = linear_regression()
    loss = search(network, table, updates=3, iterations=100, weight_decay=decay)
    # the gradient of Σ (x W + b − y)² / (2 n) + λ ‖W‖² / 2 is 0; the bias is not decayed
    n, x = len(table), np.c_[table.x, np.ones(len(table))]
    expected = np.linalg.solve(x.T @ x / n + decay * np.diag([1, 1, 1, 1, 1, 0]), x.T @ table.y / n)
    p = network.views(network.w)
    np.testing.assert_allclose(np.r_[p["0.linear.W"], [p["0.linear.b"]]], expected, atol=1e-4)
    assert loss == pytest.approx(float(np.mean((x @ expected - table.y) ** 2)), rel=1e-4)


def test_lbfgs_in_float32_is_near_float64() -> None:
    ends = []
    for dtype in ("float32", "float64"):
        network, table = linear_regression(dtype)
        search(network, table, updates=2, iterations=100)
        assert network.w.dtype == dtype
        ends.append(network.w)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-3)


def test_lbfgs_goes_the_share_of_the_way_that_the_rate_says() -> None:
    start = linear_regression()[0].w
    ends = {}
    for lr in (1.0, 0.25, 0.0):
        network, table = linear_regression()
        search(network, table, lr=lr)
        ends[lr] = network.w
    np.testing.assert_allclose(ends[0.25], start + 0.25 * (ends[1.0] - start), rtol=1e-13)
    assert ends[0.0].tobytes() == start.tobytes()


def test_lbfgs_leaves_frozen_parameters_where_they_are_and_minimizes_over_the_others() -> None:
    network, table = linear_regression()
    bias = network.views(network.w)["0.linear.b"]
    bias[...] = [3.0, -2.0]
    search(network, table, updates=3, iterations=100, rates={"*.b": 0.0})
    assert bias.tolist() == [3.0, -2.0]
    expected = np.linalg.lstsq(table.x, table.y - bias, rcond=None)[0]
    np.testing.assert_allclose(network.views(network.w)["0.linear.W"], expected, atol=1e-4)


def test_lbfgs_on_rosenbrock_finds_the_minimum() -> None:
    optimizer, w, g = create("lbfgs", iterations=100), np.array([-1.2, 1.0]), np.empty(2)

    def evaluate() -> float:
        g[...] = rosenbrock(w.tolist())
        x, y = w.tolist()
        return float((1 - x) ** 2 + 100 * (y - x * x) ** 2)

    optimizer.search(w, g, 1.0, evaluate)
    np.testing.assert_allclose(w, 1, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"clip_norm": 1.0},
        {"clip_value": 1.0},
        {"clip_each": 1.0},
        {"decoupled": True, "weight_decay": 0.1},
        {"rates": {"*.b": 0.5}},
    ],
    ids=str,
)
def test_lbfgs_refuses_rules_that_its_search_would_not_know(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="minimizes the loss and its coupled weight decay as they are"):
        Updater(create("lbfgs", **options), linear_regression()[0])


def test_lbfgs_refuses_stacked_networks_and_engines_that_hand_it_gradients() -> None:
    networks = [linear_regression()[0] for _ in range(2)]
    updaters = [Updater(create("lbfgs"), network) for network in networks]
    with pytest.raises(UsageError, match="cannot train several replicas together"):
        Updater.stacked(updaters, Network.stacked(networks))
    for engine in ("online", "scalar", "fused"):
        with pytest.raises(UsageError, match=f"engine={engine} cannot run this configuration"):
            create_engine(engine, networks[0], updaters[0], 10)
    with pytest.raises(UsageError, match="only engine=numpy"):
        updaters[0].update(1.0)


def test_lbfgs_reports_what_its_engine_trains_to() -> None:
    network, table = linear_regression()
    updater = Updater(create("lbfgs"), network)
    engine = create_engine("auto", network, updater, len(table))
    assert engine.name == "numpy"
    blocks = [Block(table, np.arange(len(table)), len(table), [1.0])]
    (losses,) = engine.advance(blocks)
    assert updater.step == 1
    assert losses.values[0] == pytest.approx(network.evaluate(table)[0], rel=1e-12)
