"""Facts about every layer there is, and the formulas of the elementary ones."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from mlpframe import registries
from tests.gradients import (
    BoundLayer,
    assert_gradient,
    away_from_zero,
    central_difference,
    create_layer,
    draw_parameters,
)

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
