"""Facts about every layer there is, and the formulas of the elementary ones."""

from __future__ import annotations

import math
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

from mlpframe import registries
from mlpframe.api import UsageError
from mlpframe.testing import (
    BoundLayer,
    assert_gradient,
    away_from_zero,
    central_difference,
    create_layer,
    draw_parameters,
)
from mlpframe.training.network import Network, build_layers
from mlpframe.training.optim import Updater
from mlpframe.training.rng import Streams

LAYERS = registries["layer"].names()
SHAPES = [(5, 4, 3), (1, 4, 3), (5, 1, 3), (5, 4, 1), (1, 1, 1)]  # batch, features, units

every_layer = pytest.mark.parametrize("name", LAYERS)
every_shape = pytest.mark.parametrize(("batch", "n_in", "n_out"), SHAPES)


def case(name, batch=5, n_in=4, n_out=3, **options):
    """A layer bound to random arrays, and a random ∂loss/∂y."""
    rng = np.random.default_rng([batch, n_in, n_out])
    layer = create_layer(name, n_out)
    x, p = away_from_zero(rng, batch, n_in), draw_parameters(layer, n_in, rng)
    dy = rng.standard_normal((batch, layer.n_out(n_in)))
    return BoundLayer(layer, x, p, state=layer.state(n_in), **options), dy


def draws(name):
    """Whether the layer draws random numbers while it trains."""
    layer, _ = case(name)
    layer.forward()
    return layer.ctx.drawn


# --- every layer ---------------------------------------------------------------------------------


@every_layer
@every_shape
def test_gradients_are_the_slopes(name, batch, n_in, n_out):
    layer, dy = case(name, batch, n_in, n_out)
    layer.forward()
    layer.backward(dy)
    computed = {"x": layer.dx.copy(), **{key: value.copy() for key, value in layer.g.items()}}
    for key, at in {"x": layer.x, **layer.p}.items():
        assert_gradient(computed[key], central_difference(layer.forward, at, weights=dy))


@every_layer
@every_shape
def test_output_has_the_announced_shape(name, batch, n_in, n_out):
    layer, _ = case(name, batch, n_in, n_out)
    shape = (batch, create_layer(name, n_out).n_out(n_in))
    assert layer.forward().shape == layer.bound.dy.shape == shape
    assert not np.shares_memory(layer.bound.y, layer.bound.dy)


@every_layer
def test_first_layer_needs_no_dx(name):
    full, dy = case(name)
    first, _ = case(name, needs_dx=False)
    np.testing.assert_array_equal(first.forward(), full.forward())
    full.backward(dy)
    first.backward(dy)
    for key in full.g:
        np.testing.assert_array_equal(first.g[key], full.g[key])


@every_layer
def test_inputs_are_left_alone(name):
    layer, dy = case(name)
    before = [layer.x.copy(), *(value.copy() for value in layer.p.values())]
    y = layer.forward()
    layer.backward(dy)
    for array, copy in zip([layer.x, *layer.p.values()], before, strict=True):
        np.testing.assert_array_equal(array, copy)
    np.testing.assert_array_equal(layer.forward(), y)  # nor does a step change the next one


@every_layer
@pytest.mark.parametrize("training", [True, False])
def test_backward_leaves_the_derivative_it_is_given_and_its_own_arrays(name, training):
    # a layer inside another one must not spoil what that one still needs
    layer, dy = case(name, training=training)
    layer.forward()
    layer.backward(dy)
    first = layer.gradients()
    np.testing.assert_array_equal(layer.bound.dy, dy)
    layer.backward(dy)
    for key, value in layer.gradients().items():
        np.testing.assert_array_equal(value, first[key])


@every_layer
def test_stacked_runs_are_single_runs(name):
    # two runs that draw from one stream do not see the same numbers
    runs, batch, n_in = 1 if draws(name) else 3, 5, 4
    rng = np.random.default_rng(1)
    layer = create_layer(name)
    x, p = away_from_zero(rng, runs, batch, n_in), draw_parameters(layer, n_in, rng, (runs,))
    dy = rng.standard_normal((runs, batch, layer.n_out(n_in)))
    states = [layer.state(n_in) for _ in range(runs)]
    stacked_state = {key: np.stack([state[key] for state in states]) for key in states[0]}
    stacked = BoundLayer(layer, x.copy(), p, state=stacked_state)
    y = stacked.forward()
    stacked.backward(dy)
    for run in range(runs):
        mine = {key: value[run] for key, value in p.items()}
        single = BoundLayer(layer, x[run].copy(), mine, state=states[run])
        np.testing.assert_allclose(y[run], single.forward(), rtol=1e-13, atol=1e-13)
        single.backward(dy[run])
        np.testing.assert_allclose(stacked.dx[run], single.dx, rtol=1e-13, atol=1e-13)
        for key in single.g:
            np.testing.assert_allclose(stacked.g[key][run], single.g[key], rtol=1e-13, atol=1e-13)


@every_layer
def test_single_precision_agrees_with_double(name):
    training = not draws(name)  # a stream gives other numbers in single precision
    double, dy = case(name, training=training)
    layer = create_layer(name)
    p = {key: value.astype("float32") for key, value in double.p.items()}
    state = {key: value.astype("float32") for key, value in layer.state(4).items()}
    single = BoundLayer(layer, double.x.astype("float32"), p, state=state, training=training)
    y = single.forward()
    assert y.dtype == single.bound.dy.dtype == np.float32
    np.testing.assert_allclose(y, double.forward(), rtol=1e-5, atol=1e-5)
    if training:
        double.backward(dy)
        single.backward(dy)
        np.testing.assert_allclose(single.dx, double.dx, rtol=1e-5, atol=1e-5)


@every_layer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_inputs_stay_finite(name, dtype):
    layer = create_layer(name)
    rng = np.random.default_rng(2)
    x = np.array([[1e4, -1e4, 0, 1], [-1e4, -1e4, -1e4, -1e4], [1e4, 1e4, 1e4, 1e4]], dtype)
    p = {key: value.astype(dtype) for key, value in draw_parameters(layer, 4, rng).items()}
    state = {key: value.astype(dtype) for key, value in layer.state(4).items()}
    bound = BoundLayer(layer, x, p, state=state)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = bound.forward()
        bound.backward(rng.standard_normal(y.shape))
    assert all(np.isfinite(array).all() for array in (y, bound.dx, *bound.g.values()))


@every_layer
def test_a_step_allocates_no_arrays(name):
    layer, dy = case(name, batch=1024, n_in=1024)
    bound = layer.bound
    layer.forward()
    layer.backward(dy)
    tracemalloc.start()
    try:
        bound.forward()
        bound.backward()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < min(layer.x.size, 2**19)  # less than one byte for each of the 2²⁰ inputs


# --- the elementary ones -------------------------------------------------------------------------

POINTS = [-30.0, -2.5, -1.0, -1e-3, 0.0, 1e-3, 1.0, 2.5, 30.0]
FUNCTIONS = {
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": lambda x: (math.exp(x) - math.exp(-x)) / (math.exp(x) + math.exp(-x)),
    "relu": lambda x: x if x > 0 else 0.0,
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "hard_sigmoid": lambda x: 0.0 if x < -3 else 1.0 if x > 3 else x / 6 + 0.5,
    "hard_tanh": lambda x: -1.0 if x < -1 else 1.0 if x > 1 else x,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activations_follow_their_formula(name):
    layer = BoundLayer(create_layer(name), np.array([POINTS]), {})
    expected = [FUNCTIONS[name](x) for x in POINTS]
    np.testing.assert_allclose(layer.forward()[0], expected, rtol=1e-12, atol=1e-15)


def test_softmax_follows_its_formula():
    logits = [[0.1, -2.0, 3.0], [5.0, 5.0, 5.0], [-1.0, 0.0, -700.0]]
    y = BoundLayer(create_layer("softmax"), np.array(logits), {}).forward()
    for row, o in zip(y, logits, strict=True):
        total = sum(math.exp(value) for value in o)
        np.testing.assert_allclose(row, [math.exp(value) / total for value in o], rtol=1e-12)


def test_softmax_of_extreme_logits_is_a_distribution():
    y = BoundLayer(create_layer("softmax"), np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]]), {}).forward()
    np.testing.assert_allclose(y, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-15)


def test_softmax_local_derivatives():
    # ∂y_i/∂o_j = y_i (1 − y_i) for i = j and −y_i y_j otherwise, one row of the Jacobian at a time
    o = np.array([[0.3, -1.2, 2.0, 0.7]])
    layer = BoundLayer(create_layer("softmax"), o, {})
    y = layer.forward()[0].tolist()
    for i in range(4):
        layer.backward(np.eye(4)[i : i + 1])
        row = [y[i] * (1 - y[i]) if i == j else -y[i] * y[j] for j in range(4)]
        np.testing.assert_allclose(layer.dx[0], row, rtol=1e-13, atol=1e-16)


def test_relu_has_derivative_0_at_exactly_0():
    layer = BoundLayer(create_layer("relu"), np.array([[0.0, -0.0, 1e-300, -1e-300]]), {})
    layer.forward()
    layer.backward(np.full((1, 4), 3.0))
    np.testing.assert_array_equal(layer.dx, [[0, 0, 3, 0]])


def test_linear_is_an_affine_map():
    p = {"W": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), "b": np.array([0.5, -0.5, 0.25])}
    layer = BoundLayer(create_layer("linear"), np.array([[1.0, -1.0], [2.0, 0.5]]), p)
    np.testing.assert_array_equal(layer.forward(), [[-2.5, -3.5, -2.75], [4.5, 6.0, 9.25]])


def test_linear_without_bias_has_one_parameter():
    layer = registries["layer"].create("linear", units=2, bias=False)
    assert list(layer.parameters(3)) == ["W"]
    x, W = np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]])
    bound = BoundLayer(layer, x, {"W": W})
    np.testing.assert_array_equal(bound.forward(), [[4, -1]])
    bound.backward(np.array([[1.0, 10.0]]))
    np.testing.assert_array_equal(bound.g["W"], [[1, 10], [2, 20], [3, 30]])
    np.testing.assert_array_equal(bound.dx, [[1, 10, -9]])


def test_linear_decays_weights_not_biases_and_counts_its_fans():
    parameters = registries["layer"].create("linear", units=300).parameters(784)
    assert {name: one.decay for name, one in parameters.items()} == {"W": True, "b": False}
    assert (parameters["W"].shape, parameters["b"].shape) == ((784, 300), (300,))
    assert (parameters["W"].fan_in, parameters["W"].fan_out) == (784, 300)


# --- activations ---------------------------------------------------------------------------------


def layer_at(name, x, p=None, *, training=True, state=None, **options):
    """A layer with options, bound to an input and to parameters."""
    layer = registries["layer"].create(name, **options)
    x = np.array(x)
    state = layer.state(x.shape[-1]) if state is None else state
    return BoundLayer(layer, x, p or {}, state=state, training=training)


def derivative(layer, dy=1.0):
    """∂l/∂x of a layer, after a forward pass."""
    layer.forward()
    layer.backward(np.broadcast_to(dy, layer.bound.dy.shape))
    return layer.dx


def test_slopes_and_ends_are_those_that_are_asked_for():
    x = [[-4.0, -1.0, 0.5, 2.0]]
    np.testing.assert_allclose(layer_at("leaky_relu", x, slope=0.3).forward(), [[-1.2, -0.3, 0.5, 2]])
    elu = [[0.7 * math.expm1(-4), 0.7 * math.expm1(-1), 0.5, 2]]
    np.testing.assert_allclose(layer_at("elu", x, alpha=0.7).forward(), elu, rtol=1e-14)
    np.testing.assert_allclose(layer_at("hard_sigmoid", x, slope=0.2).forward(), [[0, 0.3, 0.6, 0.9]])
    np.testing.assert_allclose(derivative(layer_at("hard_sigmoid", x, slope=0.5)), [[0, 0.5, 0.5, 0]])


def test_derivatives_at_the_kinks_are_those_that_are_announced():
    np.testing.assert_array_equal(derivative(layer_at("leaky_relu", [[0.0]], slope=0.25)), [[0.25]])
    np.testing.assert_array_equal(derivative(layer_at("prelu", [[0.0]], {"a": np.array([0.5])})), [[0.5]])
    np.testing.assert_array_equal(derivative(layer_at("elu", [[0.0]], alpha=0.5)), [[0.5]])
    np.testing.assert_array_equal(derivative(layer_at("hard_tanh", [[-1.0, 1.0, -1.5, 1.5]])), [[1, 1, 0, 0]])
    slope = 0.25  # its lines meet at exactly ±2
    hard = layer_at("hard_sigmoid", [[-2.0, 2.0, -2.5, 2.5]], slope=slope)
    np.testing.assert_array_equal(derivative(hard), [[slope, slope, 0, 0]])


def test_hard_sigmoid_never_leaves_0_and_1():
    # where rounding of slope · x + 1/2 might: a probability below 0 has no logarithm
    near = np.nextafter(np.float32(3), np.float32([0, 4]))
    x = np.concatenate([near, -near, [3, -3]]).astype(np.float32)[None]
    y = layer_at("hard_sigmoid", x).forward()
    assert y.min() >= 0
    assert y.max() <= 1


def test_gelu_keeps_its_digits_far_below_0():
    x = [-3.0, -6.0, -10.0]  # 1 + erf would have 3 digits left at −6 and none at −10
    expected = [v * math.erfc(-v / math.sqrt(2)) / 2 for v in x]
    np.testing.assert_allclose(layer_at("gelu", [x]).forward()[0], expected, rtol=1e-12)


def test_approximate_gelu_follows_its_formula_and_is_near_the_exact_one():
    x = np.linspace(-6, 6, 1001)
    y = layer_at("gelu", x[None], approximate=True).forward()[0]
    inner = [math.sqrt(2 / math.pi) * (v + 0.044715 * v**3) for v in x]
    formula = [v * (1 + math.tanh(u)) / 2 for v, u in zip(x, inner, strict=True)]
    np.testing.assert_allclose(y, formula, rtol=1e-12, atol=1e-15)
    assert 1e-4 < np.abs(y - layer_at("gelu", x[None]).forward()[0]).max() < 5e-4


def test_softplus_stays_positive_far_below_0_and_has_the_logistic_slope():
    x = [-700.0, -300.0, -40.0]
    np.testing.assert_allclose(layer_at("softplus", [x]).forward()[0], [math.exp(v) for v in x], rtol=1e-13)
    np.testing.assert_allclose(derivative(layer_at("softplus", [x]))[0], [math.exp(v) for v in x], rtol=1e-13)


def test_selu_keeps_mean_0_and_variance_1():
    # the fixed point of the paper: the integrals of selu and selu² over N(0, 1), each side of the kink
    def moment(power):
        def integrand(x):
            y = layer_at("selu", [[x]]).forward().item()
            return y**power * math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)

        return quad(integrand, -12, 0, epsabs=1e-10)[0] + quad(integrand, 0, 12, epsabs=1e-10)[0]

    assert moment(1) == pytest.approx(0, abs=1e-8)
    assert moment(2) == pytest.approx(1, abs=1e-8)


def test_a_deep_network_of_selu_normalises_itself():
    rng = np.random.default_rng(3)
    h = rng.standard_normal((500, 200)) * 1.5 + 0.5  # neither mean 0 nor variance 1
    for _ in range(20):
        h = layer_at("selu", h @ rng.normal(0, 200**-0.5, (200, 200))).forward()
    assert abs(h.mean()) < 0.1
    assert h.var() == pytest.approx(1, abs=0.15)


def test_prelu_has_a_slope_for_each_feature():
    x = np.array([[-2.0, -2.0, 3.0], [-1.0, 4.0, -5.0]])
    layer = layer_at("prelu", x, {"a": np.array([0.5, -1.0, 0.1])})
    np.testing.assert_allclose(layer.forward(), [[-1, 2, 3], [-0.5, 4, -0.5]], rtol=1e-15)
    dy = np.array([[1.0, 10.0, 100.0], [2.0, 20.0, 200.0]])
    layer.backward(dy)
    np.testing.assert_allclose(layer.g["a"], [-2 * 1 - 1 * 2, -2 * 10, -5 * 200], rtol=1e-15)
    np.testing.assert_allclose(layer.dx, [[0.5, -10, 100], [1, 20, 20]], rtol=1e-15)


def test_prelu_may_share_one_slope():
    x = np.array([[-2.0, 3.0], [-1.0, -4.0]])
    layer = layer_at("prelu", x, {"a": np.array([0.5])}, shared=True)
    np.testing.assert_array_equal(layer.forward(), [[-1, 3], [-0.5, -2]])
    layer.backward(np.array([[1.0, 10.0], [2.0, 20.0]]))
    np.testing.assert_array_equal(layer.g["a"], [-2 * 1 - 1 * 2 - 4 * 20])


def test_log_softmax_is_the_logarithm_of_softmax():
    logits = [[0.1, -2.0, 3.0], [5.0, 5.0, 5.0], [-1.0, 0.0, -700.0]]
    y = layer_at("log_softmax", logits).forward()
    for row, o in zip(y, logits, strict=True):
        total = math.log(sum(math.exp(value) for value in o))
        np.testing.assert_allclose(row, [value - total for value in o], rtol=1e-13)


def test_log_softmax_of_extreme_logits_is_finite():
    y = layer_at("log_softmax", [[1e4, -1e4, 0.0]]).forward()
    np.testing.assert_array_equal(y, [[0, -2e4, -1e4]])


def test_log_softmax_of_its_own_output_changes_nothing():
    y = layer_at("log_softmax", [[0.3, -1.2, 2.0]]).forward()
    np.testing.assert_allclose(layer_at("log_softmax", y).forward(), y, rtol=1e-14, atol=1e-15)


# --- maxout --------------------------------------------------------------------------------------


def test_maxout_is_the_largest_of_its_pieces():
    rng = np.random.default_rng(4)
    x, W, b = rng.standard_normal((6, 4)), rng.standard_normal((4, 9)), rng.standard_normal(9)
    dy = rng.standard_normal((6, 3))
    layer = layer_at("maxout", x, {"W": W, "b": b}, units=3, pieces=3)
    y = layer.forward()
    layer.backward(dy)
    gW, gb, dx = np.zeros_like(W), np.zeros_like(b), np.zeros_like(x)
    for i in range(6):
        for j in range(3):
            values = [sum(x[i, m] * W[m, k * 3 + j] for m in range(4)) + b[k * 3 + j] for k in range(3)]
            best = values.index(max(values)) * 3 + j
            assert y[i, j] == pytest.approx(max(values), rel=1e-13)
            gW[:, best] += x[i] * dy[i, j]
            gb[best] += dy[i, j]
            dx[i] += W[:, best] * dy[i, j]
    for computed, expected in ((layer.g["W"], gW), (layer.g["b"], gb), (layer.dx, dx)):
        np.testing.assert_allclose(computed, expected, rtol=1e-12, atol=1e-14)


def test_maxout_of_a_feature_and_its_negative_is_the_absolute_value():
    layer = layer_at("maxout", [[-2.0], [3.0]], {"W": np.array([[1.0, -1.0]])}, units=1, bias=False)
    np.testing.assert_array_equal(layer.forward(), [[2], [3]])
    layer.backward(np.array([[1.0], [1.0]]))
    np.testing.assert_array_equal(layer.dx, [[-1], [1]])


def test_equal_pieces_of_maxout_share_no_gradient_twice():
    x, dy = np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]])
    layer = layer_at("maxout", x, {"W": np.zeros((2, 6)), "b": np.zeros(6)}, units=2, pieces=3)
    layer.forward()
    layer.backward(dy)
    np.testing.assert_array_equal(layer.g["b"], [3, 5, 0, 0, 0, 0])


def test_maxout_counts_its_fans_and_decays_its_weights():
    parameters = registries["layer"].create("maxout", units=30, pieces=4).parameters(78)
    W, b = parameters["W"], parameters["b"]
    assert (W.shape, b.shape) == ((78, 120), (120,))
    assert (W.fan_in, W.fan_out, W.decay, b.decay) == (78, 30, True, False)


# --- what is random in training ------------------------------------------------------------------

RANDOM = {"dropout": {"rate": 0.3}, "alpha_dropout": {"rate": 0.3}, "gaussian_noise": {"std": 0.3}}

every_random_layer = pytest.mark.parametrize("name", RANDOM)


@every_random_layer
def test_in_evaluation_it_is_the_identity(name):
    x = np.random.default_rng(5).standard_normal((7, 5))
    layer = layer_at(name, x, training=False, **RANDOM[name])
    np.testing.assert_array_equal(layer.forward(), x)
    assert not np.shares_memory(layer.bound.y, layer.x)
    dy = np.random.default_rng(6).standard_normal((7, 5))
    layer.backward(dy)
    np.testing.assert_array_equal(layer.dx, dy)
    assert not layer.ctx.drawn


@every_random_layer
def test_without_randomness_training_is_the_identity_too(name):
    x = np.random.default_rng(5).standard_normal((7, 5))
    layer = layer_at(name, x, **dict.fromkeys(RANDOM[name], 0.0))
    np.testing.assert_array_equal(layer.forward(), x)
    assert not layer.ctx.drawn


@every_random_layer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_step_draws_anew(name, dtype):
    layer = layer_at(name, np.ones((20, 30), dtype), **RANDOM[name])
    first = layer.forward()
    layer.bound.forward()
    assert (layer.bound.y != first).mean() > 0.3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_drops_the_announced_share_and_keeps_the_expectation(rate, dtype):
    n = 250_000
    x = np.random.default_rng(70).uniform(1, 2, (500, 500)).astype(dtype)
    layer = layer_at("dropout", x, rate=rate)
    y = layer.forward()
    dropped = y == 0
    assert dropped.mean() == pytest.approx(rate, abs=5 * math.sqrt(rate * (1 - rate) / n))
    np.testing.assert_allclose(
        y[~dropped], x[~dropped] / (1 - rate), rtol=1e-6 if dtype == "float32" else 1e-15
    )
    spread = math.sqrt(rate / (1 - rate) * float(np.mean(x.astype("f8") ** 2)) / n)
    assert y.mean(dtype="f8") == pytest.approx(x.mean(dtype="f8"), abs=5 * spread)
    # neither rows nor columns are dropped together
    for axis in (0, 1):
        assert dropped.mean(axis).std() == pytest.approx(math.sqrt(rate * (1 - rate) / 500), rel=0.2)


def test_dropout_passes_gradients_where_it_passed_values():
    layer = layer_at("dropout", np.ones((40, 50)), rate=0.4)
    y = layer.forward()
    layer.backward(np.full((40, 50), 2.0))
    np.testing.assert_array_equal(layer.dx, 2 * y)


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.7])
def test_alpha_dropout_keeps_mean_and_variance(rate):
    x = np.random.default_rng(8).standard_normal((1000, 1000))
    y = layer_at("alpha_dropout", x, rate=rate).forward()
    assert y.mean() == pytest.approx(0, abs=0.006)
    assert y.var() == pytest.approx(1, abs=0.012)


def test_alpha_dropout_sets_what_it_drops_to_the_lower_end_of_selu():
    rate, alpha = 0.2, -1.0507009873554805 * 1.6732632423543772
    a = (1 - rate + alpha**2 * (1 - rate) * rate) ** -0.5  # the paper's a and b for q = 1 − rate
    b = -a * rate * alpha
    x = np.random.default_rng(9).standard_normal((300, 300))
    layer = layer_at("alpha_dropout", x, rate=rate)
    y = layer.forward()
    dropped = np.isclose(y, a * alpha + b, rtol=1e-12)
    assert dropped.mean() == pytest.approx(rate, abs=5 * math.sqrt(rate * (1 - rate) / x.size))
    np.testing.assert_allclose(y[~dropped], a * x[~dropped] + b, rtol=1e-12, atol=1e-14)
    layer.backward(np.ones_like(x))
    np.testing.assert_allclose(layer.dx, np.where(dropped, 0, a), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gaussian_noise_is_normal_and_independent_of_its_input(dtype):
    x = np.random.default_rng(10).uniform(-1, 1, (500, 500)).astype(dtype)
    layer = layer_at("gaussian_noise", x, std=0.5)
    noise = (layer.forward() - x) / 0.5
    n = x.size
    assert noise.mean() == pytest.approx(0, abs=5 / math.sqrt(n))
    assert noise.var() == pytest.approx(1, abs=5 * math.sqrt(2 / n))
    assert (np.abs(noise) < 1).mean() == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.005)
    assert np.corrcoef(noise.ravel(), x.ravel())[0, 1] == pytest.approx(0, abs=5 / math.sqrt(n))
    dy = np.ones_like(x)
    layer.backward(dy)
    np.testing.assert_array_equal(layer.dx, dy)


# --- normalisation -------------------------------------------------------------------------------


def affine(n_in, seed=11):
    rng = np.random.default_rng(seed)
    return {"gamma": rng.uniform(0.5, 2, n_in), "beta": rng.standard_normal(n_in)}


def statistics(values):
    """Mean and variance of a list with the divisor n, by loops."""
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / len(values)


def test_batch_norm_normalises_each_feature_over_the_batch():
    x, p = np.random.default_rng(12).normal(3, 2, (6, 4)), affine(4)
    y = layer_at("batch_norm", x, p, epsilon=1e-3).forward()
    for j, column in enumerate(x.T.tolist()):
        mean, variance = statistics(column)
        expected = [(v - mean) / math.sqrt(variance + 1e-3) * p["gamma"][j] + p["beta"][j] for v in column]
        np.testing.assert_allclose(y[:, j], expected, rtol=1e-12)


def test_batch_norm_without_affine_has_mean_0_and_variance_1():
    x = np.random.default_rng(13).normal(3, 2, (50, 4))
    layer = layer_at("batch_norm", x, affine=False, epsilon=1e-12)
    assert not registries["layer"].create("batch_norm", affine=False).parameters(4)
    y = layer.forward()
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-13)
    np.testing.assert_allclose(y.var(0), 1, rtol=1e-10)


def test_batch_norm_keeps_running_statistics():
    rng = np.random.default_rng(14)
    layer = layer_at("batch_norm", np.zeros((5, 3)), affine(3), momentum=0.8)
    mean, variance = [0.0] * 3, [1.0] * 3
    for _ in range(4):
        layer.x[...] = rng.normal(2, 3, (5, 3))
        layer.bound.forward()
        for j, column in enumerate(layer.x.T.tolist()):
            batch_mean, batch_variance = statistics(column)
            mean[j] = 0.8 * mean[j] + 0.2 * batch_mean
            variance[j] = 0.8 * variance[j] + 0.2 * batch_variance * 5 / 4  # the divisor n − 1
    np.testing.assert_allclose(layer.ctx.state["mean"], mean, rtol=1e-13)
    np.testing.assert_allclose(layer.ctx.state["variance"], variance, rtol=1e-13)


def test_batch_norm_evaluates_with_the_running_statistics():
    state = {"mean": np.array([1.0, -2.0]), "variance": np.array([4.0, 0.25])}
    x, p = np.array([[3.0, -2.5], [1.0, 0.0]]), affine(2)
    layer = layer_at("batch_norm", x, p, training=False, state=state, epsilon=1e-9)
    expected = np.array([[1.0, -1.0], [0.0, 4.0]]) * p["gamma"] + p["beta"]
    np.testing.assert_allclose(layer.forward(), expected, rtol=1e-8)
    np.testing.assert_allclose(derivative(layer), [p["gamma"] / [2, 0.5]] * 2, rtol=1e-8)
    # each row by itself: what else is in a batch does not count
    alone = layer_at("batch_norm", x[:1], p, training=False, state=state, epsilon=1e-9)
    np.testing.assert_array_equal(alone.forward(), layer.forward()[:1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_norm_of_one_row_is_beta(dtype):
    p = {name: value.astype(dtype) for name, value in affine(3).items()}
    state = {"mean": np.full(3, 2, dtype), "variance": np.full(3, 9, dtype)}
    x = np.array([[1e6, -3, 0.1]], dtype)
    layer = layer_at("batch_norm", x, p, state=state, momentum=0.5)
    np.testing.assert_array_equal(layer.forward(), p["beta"][None])
    np.testing.assert_allclose(layer.ctx.state["mean"], (x[0] + 2) / 2, rtol=1e-6)
    np.testing.assert_array_equal(layer.ctx.state["variance"], 9)
    layer.backward(np.array([[1.0, 2.0, 3.0]]))
    np.testing.assert_array_equal(layer.dx, 0)
    np.testing.assert_array_equal(layer.g["gamma"], 0)
    np.testing.assert_array_equal(layer.g["beta"], [1, 2, 3])


def test_batch_norm_of_a_constant_feature_is_beta():
    x = np.full((3, 1), 1e4, np.float32)
    p = {"gamma": np.float32([2]), "beta": np.float32([0.5])}
    np.testing.assert_array_equal(layer_at("batch_norm", x, p).forward(), 0.5)


def test_batch_norm_does_not_see_shift_and_scale_of_its_input():
    x = np.random.default_rng(15).standard_normal((9, 3))
    y = layer_at("batch_norm", x, affine(3), epsilon=1e-12).forward()
    moved = layer_at("batch_norm", 7 * x + 100, affine(3), epsilon=1e-12).forward()
    np.testing.assert_allclose(moved, y, rtol=1e-9, atol=1e-10)


def test_layer_norm_normalises_each_row():
    x, p = np.random.default_rng(16).normal(3, 2, (6, 4)), affine(4)
    y = layer_at("layer_norm", x, p, epsilon=1e-3).forward()
    for i, row in enumerate(x.tolist()):
        mean, variance = statistics(row)
        expected = [(value - mean) / math.sqrt(variance + 1e-3) for value in row]
        np.testing.assert_allclose(y[i], expected * p["gamma"] + p["beta"], rtol=1e-12)


def test_rms_norm_divides_each_row_by_its_root_mean_square():
    x, p = np.random.default_rng(17).normal(3, 2, (6, 4)), {"gamma": affine(4)["gamma"]}
    y = layer_at("rms_norm", x, p, epsilon=1e-3).forward()
    for i, row in enumerate(x.tolist()):
        root = math.sqrt(sum(value**2 for value in row) / 4 + 1e-3)
        np.testing.assert_allclose(y[i], np.array(row) / root * p["gamma"], rtol=1e-12)


def test_rows_are_normalised_without_affine():
    x = np.random.default_rng(18).normal(3, 2, (20, 50))
    y = layer_at("layer_norm", x, affine=False, epsilon=1e-12).forward()
    np.testing.assert_allclose(y.mean(1), 0, atol=1e-13)
    np.testing.assert_allclose(y.var(1), 1, rtol=1e-10)
    y = layer_at("rms_norm", x, affine=False, epsilon=1e-12).forward()
    np.testing.assert_allclose((y**2).mean(1), 1, rtol=1e-10)
    assert y.mean() > 0.5  # the mean stays


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm", "rms_norm"])
def test_normalisation_starts_as_the_plain_one_and_does_not_decay(name):
    parameters = registries["layer"].create(name).parameters(3)
    assert not any(one.decay for one in parameters.values())
    first = {}
    for key, one in parameters.items():
        first[key] = np.empty(one.shape)
        registries["initializer"].create(one.init).fill(first[key], one, np.random.default_rng(0))
    x = np.random.default_rng(19).standard_normal((5, 3))
    np.testing.assert_array_equal(
        layer_at(name, x, first).forward(), layer_at(name, x, affine=False).forward()
    )


# --- residual ------------------------------------------------------------------------------------

BLOCK = [{"name": "linear", "units": 6}, "tanh", {"name": "linear", "units": 4, "bias": False}]


def test_residual_is_its_input_plus_its_layers():
    rng = np.random.default_rng(20)
    x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, 4))
    layer = registries["layer"].create("residual", layers=BLOCK)
    p = draw_parameters(layer, 4, rng)
    assert list(p) == ["0.linear.W", "0.linear.b", "2.linear.W"]
    bound = BoundLayer(layer, x, p)
    hidden = np.tanh(x @ p["0.linear.W"] + p["0.linear.b"])
    np.testing.assert_allclose(bound.forward(), x + hidden @ p["2.linear.W"], rtol=1e-13)
    bound.backward(dy)
    d_hidden = dy @ p["2.linear.W"].T * (1 - hidden**2)
    np.testing.assert_allclose(bound.dx, dy + d_hidden @ p["0.linear.W"].T, rtol=1e-12)
    np.testing.assert_allclose(bound.g["0.linear.W"], x.T @ d_hidden, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(bound.g["0.linear.b"], d_hidden.sum(0), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(bound.g["2.linear.W"], hidden.T @ dy, rtol=1e-12, atol=1e-14)


def test_residual_keeps_the_state_and_the_parameters_of_layers_in_layers():
    inner = {"name": "residual", "layers": ["batch_norm", "relu"]}
    layer = registries["layer"].create("residual", layers=["relu", inner])
    assert list(layer.parameters(3)) == ["1.residual.0.batch_norm.gamma", "1.residual.0.batch_norm.beta"]
    assert list(layer.state(3)) == ["1.residual.0.batch_norm.mean", "1.residual.0.batch_norm.variance"]
    x = np.random.default_rng(21).standard_normal((8, 3))
    p = {name: np.ones(one.shape) for name, one in layer.parameters(3).items()}
    bound = BoundLayer(layer, x, p, state=layer.state(3))
    bound.bound.forward()
    np.testing.assert_allclose(
        bound.ctx.state["1.residual.0.batch_norm.mean"], 0.1 * np.maximum(x, 0).mean(0), rtol=1e-13
    )


def test_residual_draws_in_training_only():
    layer = registries["layer"].create("residual", layers=[{"name": "dropout", "rate": 0.5}])
    x = np.ones((30, 40))
    assert set(np.unique(BoundLayer(layer, x, {}).forward())) == {1, 3}
    np.testing.assert_array_equal(BoundLayer(layer, x, {}, training=False).forward(), 2)


def test_residual_refuses_a_change_of_width():
    layer = registries["layer"].create("residual", layers=[{"name": "linear", "units": 5}])
    assert layer.n_out(5) == 5
    with pytest.raises(UsageError, match="linear turn 4 features into 5"):
        layer.n_out(4)


@pytest.mark.parametrize(
    ("layers", "message"),
    [(["linear"], "units must be given"), ([], "at least one"), (["tanhh"], "nearest: .*tanh")],
)
def test_residual_refuses_layers_that_it_cannot_make(layers, message):
    with pytest.raises(UsageError, match=message):
        registries["layer"].create("residual", layers=layers)


# --- embedding -----------------------------------------------------------------------------------

CODED = {"columns": [3, 1], "categories": [4, 2], "dim": 3}


def coded_table(rows=12):
    """Five features, of which number 3 has 4 categories and number 1 has 2; and the tables."""
    rng = np.random.default_rng(22)
    x = rng.standard_normal((rows, 5))
    x[:, 3], x[:, 1] = rng.integers(0, 4, rows), rng.integers(0, 2, rows)
    return x, {"E3": rng.standard_normal((4, 3)), "E1": rng.standard_normal((2, 3))}


def test_embedding_is_a_product_with_one_hot_codes():
    x, p = coded_table()
    layer = layer_at("embedding", x, p, **CODED)
    hot3, hot1 = np.eye(4)[x[:, 3].astype(int)], np.eye(2)[x[:, 1].astype(int)]
    expected = np.concatenate([x[:, [0, 2, 4]], hot3 @ p["E3"], hot1 @ p["E1"]], 1)
    np.testing.assert_array_equal(layer.forward(), expected)
    dy = np.random.default_rng(23).standard_normal((12, 9))
    layer.backward(dy)
    np.testing.assert_allclose(layer.g["E3"], hot3.T @ dy[:, 3:6], rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(layer.g["E1"], hot1.T @ dy[:, 6:], rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(layer.dx[:, [0, 2, 4]], dy[:, :3])
    np.testing.assert_array_equal(layer.dx[:, [1, 3]], 0)


def test_embedding_has_the_slopes_of_its_tables():
    x, p = coded_table()
    layer = layer_at("embedding", x, p, **CODED)
    dy = np.random.default_rng(24).standard_normal((12, 9))
    layer.forward()
    layer.backward(dy)
    for name, table in layer.p.items():
        assert_gradient(layer.g[name], central_difference(layer.forward, table, weights=dy))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_codes_outside_of_an_embedding_are_zeros_that_train_nothing(dtype):
    codes = np.array([0, 1, 2, -1, 7, np.nan, np.inf, -np.inf, 1e30], dtype)[:, None]
    p = {"E0": np.array([[1, 2], [3, 4], [5, 6]], dtype)}
    layer = layer_at("embedding", codes, p, columns=[0], categories=[3], dim=2)
    with np.errstate(all="raise"):
        y = layer.forward()
        layer.backward(np.ones((9, 2)))
    np.testing.assert_array_equal(y, [[1, 2], [3, 4], [5, 6], *[[0, 0]] * 6])
    np.testing.assert_array_equal(layer.g["E0"], np.ones((3, 2)))


def test_codes_of_an_embedding_are_rounded_to_the_nearest():
    p = {"E0": np.array([[1.0], [2.0], [3.0]])}
    x = np.array([[-0.4], [0.4], [0.6], [2.4], [2.6]])
    y = layer_at("embedding", x, p, columns=[0], categories=[3], dim=1).forward()
    np.testing.assert_array_equal(y[:, 0], [1, 1, 2, 3, 0])


def test_stacked_embeddings_have_tables_of_their_own():
    rng = np.random.default_rng(25)
    layer = registries["layer"].create("embedding", **CODED)
    tables = [coded_table() for _ in range(3)]
    x = np.stack([rng.permutation(x) for x, _ in tables])
    w = rng.standard_normal((3, 18))  # as in a network: the tables of one name lie apart in memory
    p = {"E3": w[:, :12].reshape(3, 4, 3), "E1": w[:, 12:].reshape(3, 2, 3)}
    stacked, dy = BoundLayer(layer, x, p), rng.standard_normal((3, 12, 9))
    y = stacked.forward()
    stacked.backward(dy)
    for run in range(3):
        single = BoundLayer(layer, x[run].copy(), {name: table[run].copy() for name, table in p.items()})
        np.testing.assert_array_equal(y[run], single.forward())
        single.backward(dy[run])
        for name, gradient in single.g.items():
            np.testing.assert_array_equal(stacked.g[name][run], gradient)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": [0], "categories": []}, "categories"),
        ({"columns": [0, 0], "categories": [2, 2]}, "columns must be distinct"),
        ({"columns": [-1], "categories": [2]}, "columns must be at least 0"),
        ({"columns": [0], "categories": [0]}, "categories must be at least 1"),
    ],
)
def test_embedding_refuses_columns_that_cannot_be(options, message):
    with pytest.raises(UsageError, match=message):
        registries["layer"].create("embedding", **options)


def test_embedding_refuses_a_table_with_fewer_columns():
    with pytest.raises(UsageError, match=r"columns must be at most 2.*not 3"):
        registries["layer"].create("embedding", **CODED).n_out(3)


# --- standardize ---------------------------------------------------------------------------------


def learned(x, dtype="float64"):
    layer = registries["layer"].create("standardize")
    state = {name: value.astype(dtype) for name, value in layer.state(x.shape[1]).items()}
    layer.learn(x, state)
    return layer, state


@pytest.mark.parametrize("rows", [2, 1000, 100_000])  # the last in several chunks
def test_standardize_gives_mean_0_and_standard_deviation_1(rows):
    x = np.random.default_rng(26).normal([3, -50, 1e5], [0.1, 20, 3], (rows, 3))
    x = np.concatenate([x] * 3, 1)
    layer, state = learned(x)
    y = BoundLayer(layer, x, {}, state=state).forward()
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(y.std(0), 1, rtol=1e-9)


def test_standardize_agrees_with_one_look_at_everything():
    x = np.random.default_rng(27).normal(1e4, 1, (90_000, 8)).astype(np.float32)
    x += np.linspace(0, 100, 90_000, dtype=np.float32)[:, None]  # chunks unlike each other
    _, state = learned(x)
    np.testing.assert_allclose(state["shift"], x.mean(0, np.float64), rtol=1e-13)
    np.testing.assert_allclose(state["scale"], x.std(0, dtype=np.float64), rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constant_features_become_exactly_0(dtype):
    x = np.tile(np.array([0.1, -1e6, 0.0, 1e-30], dtype), (3000, 1))
    layer, state = learned(x, dtype)
    np.testing.assert_array_equal(state["scale"], 1)
    np.testing.assert_array_equal(BoundLayer(layer, x, {}, state=state).forward(), 0)


def test_a_feature_that_is_constant_but_for_rounding_is_constant():
    x = np.array([[0.3], [0.1 + 0.2]] * 50)
    assert np.unique(x).size == 2
    _, state = learned(x)
    np.testing.assert_array_equal(state["scale"], 1)


def test_standardize_learns_from_a_mapped_file(tmp_path: Path):
    x = np.random.default_rng(28).normal(5, 2, (200_000, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    _, state = learned(x)
    _, mapped = learned(np.load(tmp_path / "x.npy", mmap_mode="r"))
    for name in state:
        np.testing.assert_array_equal(mapped[name], state[name])


def test_standardize_takes_whole_numbers():
    _, state = learned(np.array([[0, 255], [2, 255], [4, 255]], np.uint8))
    np.testing.assert_allclose(state["shift"], [2, 255], rtol=1e-15)
    np.testing.assert_allclose(state["scale"], [math.sqrt(8 / 3), 1], rtol=1e-15)


# --- in a network --------------------------------------------------------------------------------

NETWORKS = {
    "batch_norm": [{"name": "linear", "units": 6}, "batch_norm", "relu"],
    "standardize": ["standardize", {"name": "linear", "units": 6}, "tanh"],
    "residual": [
        {"name": "linear", "units": 6},
        {"name": "residual", "layers": ["batch_norm", "relu", {"name": "linear", "units": 6}]},
    ],
    "dropout": [{"name": "linear", "units": 6}, "selu", "alpha_dropout", "dropout", "gaussian_noise"],
    "embedding": [{"name": "embedding", "columns": [1], "categories": [3]}, "layer_norm", "rms_norm"],
    "maxout": [{"name": "maxout", "units": 6}, "prelu"],
}

every_network = pytest.mark.parametrize("name", NETWORKS)


def make_network(name, seed=0, dtype="float32"):
    layers = build_layers([*NETWORKS[name], "linear"], 3)
    loss = registries["loss"].create("cross_entropy")
    return Network(layers, loss, 4, np.zeros(0, np.intp), dtype, Streams(seed))


def classes(rows=90):
    """Three classes far from 0 and of many scales, with codes in column 1 that say something too."""
    rng = np.random.default_rng(29)
    y = rng.integers(0, 3, rows)
    x = rng.standard_normal((rows, 4)) + y[:, None] * [1, 0, -1, 2]
    x[:, 1] = np.where(rng.random(rows) < 0.8, y, 0)
    return x.astype("float32"), y


def train(network, updater, steps, start=0):
    """Plain steps on batches of 15 and, each sixth time, of 14 and 1 rows."""
    x, y = classes()
    losses = []
    for step in range(start, start + steps):
        first = 15 * (step % 6)
        cuts = [first, first + 15] if step % 6 else [first, first + 14, first + 15]
        for begin, end in pairwise(cuts):
            plan = network.plan(end - begin, training=True)
            plan.x[...], plan.target[...] = x[begin:end], y[begin:end]
            losses.append(plan.step())
            updater.update(0.01)
    return losses


def make_updater(network):
    return Updater(registries["optimizer"].create("adam"), network)


@every_network
def test_a_network_learns_with_it(name):
    network = make_network(name)
    network.learn(classes()[0])
    x, y = classes()
    before = (network.outputs(x).argmax(1) == y).mean()
    losses = train(network, make_updater(network), 240)
    assert np.isfinite(losses).all()
    assert (network.outputs(x).argmax(1) == y).mean() > max(0.85, before)


@every_network
def test_a_restored_network_is_the_same_and_goes_on_to_the_same_bits(name):
    whole = make_network(name)
    whole.learn(classes()[0])
    updater = make_updater(whole)
    train(whole, updater, 8)
    x = classes()[0]

    other = make_network(name, seed=0)
    later = make_updater(other)
    other.w[...] = whole.w
    for key, array in other.state.items():
        array[...] = whole.state[key]
    for key, vector in later.slots.items():
        vector[...] = updater.slots[key]
    later.step = updater.step
    other._streams.restore(whole._streams.state())
    np.testing.assert_array_equal(other.outputs(x), whole.outputs(x))

    assert train(other, later, 8, start=8) == train(whole, updater, 8, start=8)
    np.testing.assert_array_equal(other.w, whole.w)
    for key, array in other.state.items():
        np.testing.assert_array_equal(array, whole.state[key])


@every_network
def test_evaluation_does_not_depend_on_what_else_is_evaluated(name):
    network = make_network(name, dtype="float64")
    network.learn(classes()[0])
    train(network, make_updater(network), 12)
    x = classes()[0]
    together = network.outputs(x)
    single = np.concatenate([network.outputs(row[None]) for row in x])
    np.testing.assert_allclose(single, together, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "dropout"])
def test_stacked_networks_train_as_each_alone(name):
    alone, together = ([make_network(name, seed, "float64") for seed in (0, 1)] for _ in range(2))
    x, y = classes()
    for network in (*alone, *together):
        network.learn(x)
    stacked = Network.stacked(together)
    plan, updater = stacked.plan(15, training=True), make_updater(stacked)
    singles = [(network, network.plan(15, training=True), make_updater(network)) for network in alone]
    for step in range(6):
        rows = slice(15 * step, 15 * step + 15)
        plan.x[...], plan.target[...] = x[rows], y[rows]
        losses = plan.step()
        updater.update(0.01)
        for i, (_, one, update) in enumerate(singles):
            one.x[...], one.target[...] = x[rows], y[rows]
            assert losses[i] == pytest.approx(one.step(), rel=1e-9)
            update.update(0.01)
    for network, view in zip(alone, together, strict=True):
        np.testing.assert_allclose(view.w, network.w, rtol=1e-8, atol=1e-9)
        for key, array in network.state.items():
            np.testing.assert_allclose(view.state[key], array, rtol=1e-9, atol=1e-12)


def test_networks_that_draw_cannot_be_stacked():
    with pytest.raises(UsageError, match="draws random numbers"):
        Network.stacked([make_network("dropout", seed) for seed in (0, 1)])


def test_standardize_makes_a_network_blind_to_units():
    x, y = classes()
    outputs = []
    for factor, offset in ((1, 0), (1000, -7)):
        network = make_network("standardize", dtype="float64")
        network.learn(x * np.float64(factor) + offset)
        plan = network.plan(90, training=True)
        plan.x[...], plan.target[...] = x * np.float64(factor) + offset, y
        outputs.append((plan.step(), network.g.copy()))
    assert outputs[0][0] == pytest.approx(outputs[1][0], rel=1e-9)
    np.testing.assert_allclose(outputs[0][1], outputs[1][1], rtol=1e-7, atol=1e-9)
