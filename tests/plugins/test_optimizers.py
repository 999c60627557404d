"""Optimizers: compared with the papers' rules, with closed forms that follow from the rules; L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, signature
from math import cos, hypot, prod, sqrt
from typing import Any

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import Array, Block, Optimizer, Table, UsageError
from mlpframe.training.engines import create_engine
from mlpframe.training.network import Network, build_layers
from mlpframe.training.optim import Updater
from mlpframe.training.rng import Streams

OPTIMIZERS = [
    name for name in registries["optimizer"].names() if registries["optimizer"].create(name).scope != "search"
]
"""All optimizers except L-BFGS, which evaluates the loss itself and is tested at the end of this file."""
Vector = list[float]
Gradient = Callable[[Vector], Vector]


def create(name: str, **options: Any) -> Optimizer:
    optimizer: Optimizer = registries["optimizer"].create(name, **options)
    return optimizer


def steps_of(optimizer: Optimizer, w: Array, gradients: Sequence[Array], rate: float = 1.0) -> list[Array]:
    """The change of the weights in each step, one step for each gradient. Changes ``w`` in place."""
    slots = {name: np.zeros_like(w) for name in optimizer.slots}
    optimizer.begin(w, slots)
    moves = []
    for step, g in enumerate(gradients, 1):
        before = w.copy()
        optimizer.update(w, g, slots, rate, step, np.empty_like(w))
        moves.append(w - before)
    return moves


def steps_at(name: str, gradients: Sequence[float], rate: float = 1.0, **options: Any) -> list[float]:
    """The change of a single weight, which starts at 0, in each step; one step for each gradient."""
    moves = steps_of(create(name, **options), np.zeros(1), np.array(gradients)[:, None], rate)
    return [float(move[0]) for move in moves]


def weights_only(n: int) -> Network:
    """A network whose parameters are one matrix of n weights, to drive an optimizer on any function."""
    layers = build_layers([{"name": "linear", "units": 1, "bias": False, "init": "zeros"}], 1)
    loss = registries["loss"].create("cross_entropy")
    return Network(layers, loss, n, np.zeros(1, np.intp), "float64", Streams(0))


# --- the update rules as their papers state them ----------------------------------------------------
# A rule gets a single weight, its gradient, the learning rate, the number of the step and the slots, which
# start at 0. The rule returns the new weight and the new slots. A rule whose name ends in ``_vector`` gets
# whole vectors instead of numbers.


def sgd(w, g, lr, _):
    return w - lr * g


def momentum(w, g, lr, _, v, *, momentum=0.9):
    v = momentum * v + g
    return w - lr * v, v


def nesterov(w, g, lr, _, v, *, momentum=0.9):
    v = momentum * v + g
    return w - lr * (g + momentum * v), v


def adam(w, g, lr, t, m, v, *, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * (m_hat / (sqrt(v_hat) + epsilon) + weight_decay * w), m, v


def adagrad(w, g, lr, _, added, *, initial=0.0, epsilon=1e-10):
    added += g**2
    return w - lr * g / (sqrt(initial + added) + epsilon), added


def adadelta(w, g, lr, _, s, d, *, decay=0.95, epsilon=1e-6):
    s = decay * s + (1 - decay) * g**2
    delta = sqrt(d + epsilon) / sqrt(s + epsilon) * g
    return w - lr * delta, s, decay * d + (1 - decay) * delta**2


def rmsprop(w, g, lr, _, m, v, *, decay=0.9, epsilon=1e-8, centered=False):
    m, v = decay * m + (1 - decay) * g, decay * v + (1 - decay) * g**2
    return w - lr * g / (sqrt(v - centered * m**2) + epsilon), m, v


def amsgrad(w, g, lr, t, m, v, u, *, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    u = max(u, v)
    return w - lr * m / (1 - beta1**t) / (sqrt(u / (1 - beta2**t)) + epsilon), m, v, u


def adamax(w, g, lr, t, m, u, *, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m, u = beta1 * m + (1 - beta1) * g, max(beta2 * u, abs(g) + epsilon)
    return w - lr / (1 - beta1**t) * m / u, m, u


def nadam(w, g, lr, t, m, v, *, beta1=0.9, beta2=0.999, epsilon=1e-8, momentum_decay=0.004):
    mu = [0.0] + [beta1 * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in range(1, t + 2)]
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    m_hat = mu[t + 1] * m / (1 - prod(mu[1:])) + (1 - mu[t]) * g / (1 - prod(mu[1:-1]))
    return w - lr * m_hat / (sqrt(v / (1 - beta2**t)) + epsilon), m, v


def radam(w, g, lr, t, m, v, *, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    longest = 2 / (1 - beta2) - 1
    rho = longest - 2 * t * beta2**t / (1 - beta2**t)
    move = m / (1 - beta1**t)
    if rho > 5:
        r = sqrt((rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho))
        move *= r * sqrt(1 - beta2**t) / (sqrt(v) + epsilon)
    return w - lr * move, m, v


def adabelief(w, g, lr, t, m, s, *, beta1=0.9, beta2=0.999, epsilon=1e-16):
    m = beta1 * m + (1 - beta1) * g
    s = beta2 * s + (1 - beta2) * (g - m) ** 2 + epsilon
    return w - lr * m / (1 - beta1**t) / (sqrt(s / (1 - beta2**t)) + epsilon), m, s


def lion(w, g, lr, _, m, *, beta1=0.9, beta2=0.99):
    c = beta1 * m + (1 - beta1) * g
    return w - lr * ((c > 0) - (c < 0)), beta2 * m + (1 - beta2) * g


def rprop(w, g, lr, _, grown, before, *, initial=0.01, grow=1.2, shrink=0.5, smallest=1e-6, largest=50.0):
    size = grown or initial
    if g * before > 0:
        size = min(size * grow, largest)
    elif g * before < 0:
        size, g = max(size * shrink, smallest), 0.0
    return w - lr * size * ((g > 0) - (g < 0)), size, g


def lars_vector(w, g, lr, _, v, *, momentum=0.9, trust=0.001):
    v = momentum * v + lr * trust * hypot(*w) / hypot(*g) * g
    return w - v, v


def lamb_vector(w, g, lr, t, m, v, *, beta1=0.9, beta2=0.999, epsilon=1e-6):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    r = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    return w - lr * hypot(*w) / hypot(*r) * r, m, v


def muon_vector(w, g, lr, _, v, *, momentum=0.95, iterations=5):
    """Muon for a matrix with one column: the iteration acts on the matrix's only singular value, sigma."""
    v = momentum * v + g
    u, sigma = g + momentum * v, 1.0
    for _ in range(iterations):
        sigma = 3.4445 * sigma - 4.7750 * sigma**3 + 2.0315 * sigma**5
    return w - lr * sigma * u / hypot(*u), v


def by_rule(rule: Callable[..., Any]) -> Callable[..., list[Array]]:
    """Make a function that takes all steps by a rule and returns the weights after every step."""
    slots = [one for one in signature(rule).parameters.values() if one.kind is not Parameter.KEYWORD_ONLY][4:]
    step = rule if "vector" in rule.__name__ else np.vectorize(rule, otypes="d" * (1 + len(slots)))

    def path(w: Vector, gradient: Gradient, rates: Sequence[float], **options: Any) -> list[Array]:
        state, weights = [np.array(w), *(np.zeros(len(w)) for _ in slots)], []
        for t, rate in enumerate(rates, 1):
            moved = step(state[0], np.array(gradient(state[0].tolist())), rate, t, *state[1:], **options)
            state = list(moved) if isinstance(moved, tuple) else [moved]
            weights.append(state[0])
        return weights

    return path


# --- averages and wrappers; ``kept``: return the weights that are evaluated, not those that are trained


def schedule_free(
    w: Vector, gradient: Gradient, rates: Sequence[float], momentum: float = 0.9, kept: bool = False
) -> list[Array]:
    z = x = y = np.array(w)
    path = []
    for t, rate in enumerate(rates, 1):
        z = z - rate * np.array(gradient(y.tolist()))
        x = (1 - 1 / t) * x + z / t
        y = (1 - momentum) * z + momentum * x
        path.append(x if kept else y)
    return path


MOMENTUM = {"name": "momentum", "momentum": 0.5}


def lookahead(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    inner: Any = MOMENTUM,
    k: int = 5,
    alpha: float = 0.5,
    kept: bool = False,
) -> list[Array]:
    fast = slow = np.array(w)
    v, path = np.zeros(len(w)), []
    for t, rate in enumerate(rates, 1):
        v = inner["momentum"] * v + np.array(gradient(fast.tolist()))
        fast = fast - rate * v
        if t % k == 0:
            fast = slow = slow + alpha * (fast - slow)
        path.append(slow if kept else fast)
    return path


def ema(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    inner: Any = MOMENTUM,
    decay: float = 0.999,
    kept: bool = False,
) -> list[Array]:
    path = by_rule(momentum)(w, gradient, rates, momentum=inner["momentum"])
    if not kept:
        return path
    shares = [decay ** np.arange(t - 1, -1, -1) for t in range(1, len(path) + 1)]
    return [share @ np.array(path[: len(share)]) / share.sum() for share in shares]


def swa(
    w: Vector,
    gradient: Gradient,
    rates: Sequence[float],
    inner: Any = MOMENTUM,
    start: int = 100,
    every: int = 10,
    kept: bool = False,
) -> list[Array]:
    path = by_rule(momentum)(w, gradient, rates, momentum=inner["momentum"])
    if not kept:
        return path
    return [np.mean(path[start - 1 : t : every] or path[t - 1 : t], 0) for t in range(1, len(path) + 1)]


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
ADAM_RATE = 0.02  # Adam's steps have about the size of the rate, whatever the curvature is
RULES: list[tuple[str, dict[str, Any], Callable[..., Any], float | None]] = [
    # name, options, the rule or path to compare with, the learning rate (None: the rate of the problem)
    ("sgd", {}, sgd, None),
    ("momentum", {}, momentum, None),
    ("momentum", {"momentum": 0.5}, momentum, None),
    ("nesterov", {}, nesterov, None),
    ("nesterov", {"momentum": 0.5}, nesterov, None),
    ("adam", {}, adam, ADAM_RATE),
    # At 0.02 Adam with these options is chaotic on Rosenbrock: starts that differ by 1e-16 end far apart.
    ("adam", {"beta1": 0.5, "beta2": 0.9, "epsilon": 0.1}, adam, 0.002),
    ("adam", {"beta1": 0.0, "beta2": 0.0, "epsilon": 1.0}, adam, ADAM_RATE),
    ("adamw", {"weight_decay": 0.1, "epsilon": 1e-3}, adam, ADAM_RATE),
    ("adagrad", {}, adagrad, 0.1),
    ("adagrad", {"initial": 0.5, "epsilon": 0.1}, adagrad, 0.1),
    ("adadelta", {}, adadelta, 0.3),
    ("adadelta", {"decay": 0.8, "epsilon": 1e-4}, adadelta, 0.05),
    ("rmsprop", {}, rmsprop, 0.002),
    ("rmsprop", {"decay": 0.5, "epsilon": 1.0}, rmsprop, 0.002),
    ("rmsprop", {"centered": True, "epsilon": 1.0}, rmsprop, 0.002),
    ("amsgrad", {}, amsgrad, ADAM_RATE),
    ("amsgrad", {"beta1": 0.5, "beta2": 0.9, "epsilon": 0.1}, amsgrad, 0.002),
    ("adamax", {}, adamax, ADAM_RATE),
    ("adamax", {"beta1": 0.5, "beta2": 0.9, "epsilon": 1.0}, adamax, 0.002),
    ("nadam", {}, nadam, ADAM_RATE),
    ("nadam", {"beta1": 0.5, "epsilon": 0.1, "momentum_decay": 0.1}, nadam, ADAM_RATE),
    ("radam", {}, radam, 0.001),
    ("radam", {"beta1": 0.5, "beta2": 0.99, "epsilon": 0.1}, radam, 0.001),
    ("radam", {"beta2": 0.5}, radam, 2e-4),  # ρ never exceeds 5, so no step is adaptive
    ("adabelief", {}, adabelief, ADAM_RATE),
    ("adabelief", {"beta1": 0.5, "beta2": 0.99, "epsilon": 1e-3}, adabelief, 0.002),
    ("lion", {}, lion, 0.002),
    ("lion", {"beta1": 0.5, "beta2": 0.9}, lion, 0.002),
    ("lars", {}, lars_vector, 0.3),
    ("lars", {"momentum": 0.5, "trust": 0.01}, lars_vector, 0.2),
    ("lamb", {}, lamb_vector, 0.002),
    ("lamb", {"beta1": 0.5, "beta2": 0.9, "epsilon": 0.1}, lamb_vector, 0.002),
    ("rprop", {}, rprop, 1.0),
    ("rprop", {"initial": 1e-3, "grow": 1.5, "shrink": 0.7, "largest": 0.1}, rprop, 0.5),
    ("muon", {}, muon_vector, 0.002),
    ("muon", {"momentum": 0.5, "iterations": 3}, muon_vector, 0.002),
    ("schedule_free", {}, schedule_free, None),
    ("schedule_free", {"momentum": 0.5}, schedule_free, None),
    ("lookahead", {"inner": MOMENTUM}, lookahead, None),
    ("lookahead", {"inner": MOMENTUM, "k": 3, "alpha": 0.3}, lookahead, None),
    ("ema", {"inner": MOMENTUM}, ema, None),
    ("ema", {"inner": MOMENTUM, "decay": 0.9}, ema, None),
    ("swa", {"inner": MOMENTUM}, swa, None),
    ("swa", {"inner": MOMENTUM, "start": 7, "every": 1}, swa, None),
]


def test_every_update_rule_is_compared_with_its_paper() -> None:
    assert {name for name, *_ in RULES} == set(OPTIMIZERS)


def paths(
    name: str, options: dict[str, Any], gradient: Gradient, start: Vector, rates: Sequence[float]
) -> tuple[Array, Array]:
    """The trained weights and the evaluated weights after every step."""
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
    return np.array(path), np.array(kept)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(("name", "options", "rule", "own_rate"), RULES)
def test_an_optimizer_follows_its_paper_over_hundreds_of_steps(
    name: str, options: dict[str, Any], rule: Callable[..., Any], own_rate: float | None, problem: str
) -> None:
    gradient, start, rate = PROBLEMS[problem]
    rates = [(own_rate or rate) * (1 + cos(0.01 * step)) for step in range(300)]
    path, kept = paths(name, options, gradient, start, rates)
    by_paper = rule if rule in (schedule_free, lookahead, ema, swa) else by_rule(rule)
    expected = np.array(by_paper(start, gradient, rates, **options))
    assert np.abs(expected[-1] - start).max() > 0.1  # the weights have moved visibly
    # Weights are of order 1. The absolute tolerance is for weights that pass through 0.
    np.testing.assert_allclose(path, expected, rtol=1e-12, atol=1e-14)
    if create(name).evaluated is not None:
        expected = np.array(by_paper(start, gradient, rates, **options, kept=True))
    np.testing.assert_allclose(kept, expected, rtol=1e-12, atol=1e-14)


# --- what follows from the rules, in closed form ----------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"beta1": 0.3, "beta2": 0.5}, {"beta1": 0.0, "beta2": 0.0}])
def test_adam_at_a_constant_gradient_repeats_its_first_step(options: dict[str, float]) -> None:
    # A weighted mean of a constant is the constant. So each step is η g / (|g| + ε), whatever β₁ and β₂ are.
    g = np.array([2.0, -0.2, 1e-8, -1e-12, 50.0, 0.0])
    for move in steps_of(create("adam", **options), np.zeros(6), [g] * 1000, 0.5):
        np.testing.assert_allclose(move, -0.5 * g / (np.abs(g) + 1e-8), rtol=1e-9)


def test_adam_leaves_weights_without_a_gradient_alone_even_with_the_smallest_epsilon() -> None:
    w = np.ones(4, np.float32)
    steps_of(create("adam", epsilon=1e-30), w, [np.zeros_like(w)] * 4)
    assert w.tolist() == [1.0] * 4


def test_momentum_is_the_heavy_ball_at_a_constant_rate() -> None:
    # Polyak: w_{t+1} = w_t − η g + μ (w_t − w_{t−1}); without dampening, v = 1, 1.9, 2.71 at g = 1
    moves = steps_at("momentum", [1.0, -2.0, 0.5, 4.0], 0.1)
    assert moves == pytest.approx([-0.1, 0.2 - 0.09, -0.05 + 0.9 * 0.11, -0.4 + 0.9 * 0.049])


def test_nesterov_runs_through_the_look_ahead_points_of_sutskever() -> None:
    # Sutskever et al. 2013, eqs. 3 and 4: u ← μ u − η ∇f(θ + μ u), θ ← θ + u; look-ahead point θ + μ u
    gradient, start, rate = PROBLEMS["rosenbrock"]
    theta, u, ahead = np.array(start), np.zeros(2), []
    for _ in range(300):
        u = 0.9 * u - rate * np.array(gradient((theta + 0.9 * u).tolist()))
        theta = theta + u
        ahead.append(theta + 0.9 * u)
    np.testing.assert_allclose(paths("nesterov", {}, gradient, start, [rate] * 300)[0], ahead, rtol=1e-10)


def test_adamw_decays_apart_from_the_gradient_unless_told_otherwise() -> None:
    assert create("adamw").shared.weight_decay == 0.01
    assert create("adamw").shared.decoupled
    assert not create("adamw", decoupled=False).shared.decoupled
    assert create("adam").shared.weight_decay == 0  # the defaults of adamw do not change adam


def test_adagrad_at_a_constant_gradient_takes_steps_of_the_rate_by_the_root_of_t() -> None:
    moves = steps_at("adagrad", [3.0] * 100, 0.5)
    np.testing.assert_allclose(moves, [-0.5 / sqrt(t) for t in range(1, 101)], rtol=1e-9)


def test_adadelta_begins_with_steps_of_the_order_of_the_root_of_epsilon() -> None:
    for g in (1e-2, 1.0, -1e4):
        (move,) = steps_at("adadelta", [g])
        assert move == pytest.approx(-g * sqrt(1e-6 / (0.05 * g * g + 1e-6)), rel=1e-12)


def test_adadelta_steps_do_not_depend_on_the_scale_of_the_loss() -> None:
    moves = [steps_at("adadelta", [c * 3.0, c * -1.0, c * 2.0], epsilon=1e-30) for c in (1.0, 1e5)]
    np.testing.assert_allclose(moves[0], moves[1], rtol=1e-12)


def test_rmsprop_at_a_constant_gradient_approaches_steps_of_the_rate() -> None:
    moves = steps_at("rmsprop", [-7.0] * 200, 0.5)
    for t in (1, 2, 10):
        assert moves[t - 1] == pytest.approx(0.5 / sqrt(1 - 0.9**t), rel=1e-7)
    assert moves[-1] == pytest.approx(0.5, rel=1e-8)


def test_centered_rmsprop_divides_by_a_variance_that_rounding_cannot_make_negative() -> None:
    # For a constant gradient, v − m² = ρᵗ (1 − ρᵗ) g². Computed as a difference, this would be lost in
    # rounding near t = 350.
    moves = steps_at("rmsprop", [3.0] * 600, centered=True)
    for t in (1, 5, 50, 500):
        deviation = 3.0 * sqrt(0.9**t * (1 - 0.9**t))
        assert moves[t - 1] == pytest.approx(-3.0 / (deviation + 1e-8), rel=1e-9)


def test_amsgrad_does_not_forget_a_large_gradient() -> None:
    steady = [1.0] * 400
    amsgrad = steps_at("amsgrad", [100.0, *steady], beta1=0.0, beta2=0.9)
    adam = steps_at("adam", [100.0, *steady], beta1=0.0, beta2=0.9)
    assert adam[-1] == pytest.approx(-1, rel=1e-6)
    assert amsgrad[-1] == pytest.approx(-1 / sqrt(0.1 * 100**2), rel=1e-6)  # u is v of the first step


def test_adamax_moves_by_the_rate_at_most_while_gradients_keep_their_size() -> None:
    moves = steps_at("adamax", [2.0, 2.0, -2.0, 2.0], 0.1)
    assert moves[:2] == pytest.approx([-0.1, -0.1], rel=1e-8)
    assert moves[2] == pytest.approx(0.1 * -(0.9**2 + 0.9 - 1) / (1 + 0.9 + 0.81), rel=1e-8)
    assert steps_at("adamax", [0.0, 0.0]) == [0.0, 0.0]


def test_radam_takes_steps_of_momentum_before_the_sixth_step() -> None:
    moves = steps_at("radam", [4.0] * 8, 0.1)
    np.testing.assert_allclose(moves[:5], -0.4, rtol=1e-12)
    longest = 1999.0
    for t in (6, 7, 8):
        rho = longest - 2 * t * 0.999**t / (1 - 0.999**t)
        r = sqrt((rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho))
        assert moves[t - 1] == pytest.approx(-0.1 * r, rel=1e-6)


def test_adabelief_takes_longer_steps_where_the_gradient_is_as_expected() -> None:
    # A constant gradient deviates from its mean by β₁ᵗ g, less and less. A gradient that alternates in sign
    # deviates by more than its own size.
    steady, alternating = steps_at("adabelief", [2.0] * 50), steps_at("adabelief", [2.0, -2.0] * 25)
    assert steady[0] == pytest.approx(-1 / 0.9, rel=1e-6)
    squares = sum(0.999 ** (50 - i) * 0.81**i for i in range(1, 51))
    assert steady[-1] == pytest.approx(-1 / sqrt(squares * 0.001 / (1 - 0.999**50)), rel=1e-6)
    assert abs(steady[-1]) > 3
    assert abs(alternating[-1]) < 0.1


def test_lion_moves_by_the_rate_whatever_the_gradient() -> None:
    assert steps_at("lion", [1e-20, -1e9, 0.0], 0.5) == [-0.5, 0.5, 0.5]
    # The third gradient is 0: the mean still has the sign of the second gradient.


def test_rprop_first_steps_by_hand() -> None:
    moves = steps_at("rprop", [3.0, 0.1, -7.0, -7.0, -1.0, 0.0, -1.0])
    # step 2: Δ grows; 3: the sign changes, so Δ is halved and w waits; 4: a step of this Δ; 5: Δ grows;
    # 6: the gradient is 0, so w waits; 7: a step of the same Δ as in step 5
    np.testing.assert_allclose(moves, [-0.01, -0.012, 0, 0.006, 0.0072, 0, 0.0072], rtol=1e-12)


def test_rprop_keeps_its_step_sizes_within_bounds() -> None:
    assert steps_at("rprop", [1.0] * 100)[-1] == -50.0
    assert abs(steps_at("rprop", [1.0, -1.0, -1.0, 1.0, 1.0] * 40, smallest=1e-4)[-2]) <= 1.2e-4


@pytest.mark.parametrize(
    ("name", "without", "relative"),
    [("lars", create("momentum"), 0.3 * 0.001), ("lamb", create("adam", epsilon=1e-6), 0.3)],
    ids=["lars", "lamb"],
)
def test_a_matrix_moves_in_proportion_to_its_norm_and_a_vector_by_the_plain_rule(
    name: str, without: Optimizer, relative: float
) -> None:
    rng = np.random.default_rng(0)
    w, g = 7 * rng.standard_normal((6, 4)), rng.standard_normal((6, 4))
    for scale in (1e-3, 1.0, 1e3):
        (move,) = steps_of(create(name), w.copy(), [scale * g], 0.3)
        assert np.linalg.norm(move) == pytest.approx(relative * np.linalg.norm(w), rel=1e-9)
    for start, gradient in ((w[0], g[0]), (np.zeros((6, 4)), g)):  # vector; matrix of zeros
        moves = (steps_of(one, start.copy(), [gradient], 0.3) for one in (create(name), without))
        np.testing.assert_allclose(*moves, rtol=1e-13)


@pytest.mark.parametrize("shape", [(8, 8), (20, 6), (6, 20), (1, 5), (5, 1), (3000, 12)])
def test_muon_moves_all_directions_of_a_matrix_alike(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    U, _, V = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
    factor = sqrt(max(1.0, shape[1] / shape[0]))
    for scale in (1e-6, 1.0, 1e6):
        (move,) = steps_of(
            create("muon"), np.zeros(shape), [scale * (U * np.geomspace(1, 0.03, min(shape))) @ V]
        )
        along = np.diag(U.T @ -move @ V.T) / factor  # components along the gradient's singular vectors
        assert ((along > 0.65) & (along < 1.25)).all()
        np.testing.assert_allclose((U * along) @ V * factor, -move, atol=1e-9)  # no other component


def test_muon_moves_biases_by_nesterov_s_momentum() -> None:
    gradients = np.random.default_rng(0).standard_normal((10, 5))
    moves = (
        steps_of(one, np.zeros(5), gradients) for one in (create("muon"), create("nesterov", momentum=0.95))
    )
    np.testing.assert_allclose(*moves, rtol=1e-13)


@pytest.mark.parametrize("name", ["lookahead", "ema", "swa"])
def test_a_wrapper_has_the_rate_scope_and_slots_of_its_inner_optimizer_and_refuses_unfit_ones(
    name: str,
) -> None:
    for inner in ("adam", "muon", "rprop"):
        wrapper, alone = create(name, inner=inner), create(inner)
        assert (wrapper.default_lr, wrapper.scope) == (alone.default_lr, alone.scope)
        assert wrapper.slots == (*alone.slots, wrapper.evaluated)
    for wrong, message in (
        ("lbfgs", "neither evaluates the loss nor averages weights, not lbfgs"),
        ("ema", "neither evaluates the loss nor averages weights, not ema"),
        ("adamw", "inner=adamw sets .*weight_decay=0.01"),
        ({"name": "sgd", "clip_norm": 1.0}, "inner=sgd sets clip_norm=1.0"),
        ("adm", "no optimizer 'adm'; nearest: adam"),
    ):
        with pytest.raises(UsageError, match=message):
            create(name, inner=wrong)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rmsprop", {"centered": True, "decay": 0.0}, "decay must be more than 0, not 0"),
        ("rprop", {"largest": 1e-7}, "largest must be at least 1e-06, not 1e-07"),
        ("sgd", {"weight_decay": -0.1}, "weight_decay must be at least 0, not -0.1"),
        ("sgd", {"clip_norm": 0.0}, "clip_norm must be more than 0, not 0"),
    ],
)
def test_options_whose_bounds_are_not_in_their_help_are_checked(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        create(name, **options)


def test_an_average_starts_as_the_weights() -> None:
    for name in ("ema", "swa", "lookahead", "schedule_free"):
        network = weights_only(3)
        network.w[...] = [1.0, 2.0, 3.0]
        updater = Updater(create(name), network)
        with updater.evaluated():
            assert network.w.tolist() == [1.0, 2.0, 3.0]


# --- the optimizer that evaluates the loss itself ----------------------------------------------------------


def linear_regression(dtype: str = "float64", rows: int = 200) -> tuple[Network, Table]:
    """A network of one linear layer with the loss mse, whose weights do not start at 0, and its table."""
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
def test_lbfgs_ends_at_the_solution_of_ridge_regression(decay: float) -> None:
    network, table = linear_regression()
    loss = search(network, table, updates=3, iterations=100, weight_decay=decay)
    # At the minimum, the gradient of Σ (x W + b − y)² / (2 n) + λ ‖W‖² / 2 is 0. The bias has no weight
    # decay.
    n, x = len(table), np.c_[table.x, np.ones(len(table))]
    expected = np.linalg.solve(x.T @ x / n + decay * np.diag([1, 1, 1, 1, 1, 0]), x.T @ table.y / n)
    p = network.views(network.w)
    np.testing.assert_allclose(np.r_[p["0.linear.W"], [p["0.linear.b"]]], expected, atol=1e-4)
    assert loss == pytest.approx(float(np.mean((x @ expected - table.y) ** 2)), rel=1e-4)


def test_lbfgs_goes_the_fraction_of_the_way_that_the_rate_is() -> None:
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
def test_lbfgs_refuses_update_rules_that_its_search_would_ignore(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="supports neither clipping nor decoupled weight decay"):
        Updater(create("lbfgs", **options), linear_regression()[0])


def test_lbfgs_refuses_stacked_networks_and_engines_that_call_update() -> None:
    networks = [linear_regression()[0] for _ in range(2)]
    updaters = [Updater(create("lbfgs"), network) for network in networks]
    with pytest.raises(UsageError, match="cannot train several replicas together"):
        Updater.stacked(updaters, Network.stacked(networks))
    for engine in ("online", "scalar", "fused"):
        with pytest.raises(UsageError, match=f"engine={engine} cannot run this configuration"):
            create_engine(engine, networks[0], updaters[0], 10)
    with pytest.raises(UsageError, match="only engine=numpy"):
        updaters[0].update(1.0)


def test_lbfgs_reports_the_loss_after_the_update() -> None:
    network, table = linear_regression()
    updater = Updater(create("lbfgs"), network)
    engine = create_engine("auto", network, updater, len(table))
    assert engine.name == "numpy"
    blocks = [Block(table, np.arange(len(table)), len(table), [1.0])]
    (losses,) = engine.advance(blocks)
    assert updater.step == 1
    assert losses.values[0] == pytest.approx(network.evaluate(table)[0], rel=1e-12)
