"""Layers: closed forms, derivatives at kinks, and the distribution of random numbers in training."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special
from scipy.integrate import quad

from mlpframe import registries
from mlpframe.api import UsageError
from mlpframe.testing import BoundLayer, away_from_zero, create_layer, draw_parameters


def layer_at(name, x, p=None, *, training=True, state=None, **options):
    """Create the layer ``name`` with options and bind it to the input x and the parameters p."""
    layer = registries["layer"].create(name, **options)
    x = np.array(x)
    state = layer.state(x.shape[-1]) if state is None else state
    return BoundLayer(layer, x, p or {}, state=state, training=training)


def derivative(layer, dy=1.0):
    """Run a forward and a backward pass of a layer, and return ∂l/∂x."""
    layer.forward()
    layer.backward(np.broadcast_to(dy, layer.bound.dy.shape))
    return layer.dx


@pytest.mark.parametrize("name", registries["layer"].names())
@pytest.mark.parametrize("training", [True, False])
def test_a_second_backward_pass_gives_the_same_and_leaves_dy_alone(name, training):
    # A layer inside another layer must not overwrite dy, because the outer layer still reads this array.
    layer, rng = create_layer(name), np.random.default_rng(0)
    x, p = away_from_zero(rng, 5, 4), draw_parameters(layer, 4, rng)
    bound = BoundLayer(layer, x, p, state=layer.state(4), training=training)
    dy = rng.standard_normal(bound.bound.dy.shape)
    bound.forward()
    bound.backward(dy)
    first = bound.gradients()
    np.testing.assert_array_equal(bound.bound.dy, dy)
    bound.backward(dy)
    for key, value in bound.gradients().items():
        np.testing.assert_array_equal(value, first[key])


# --- elementwise functions, softmax and linear ---------------------------------------------------

POINTS = [-30.0, -2.5, -1.0, -1e-3, 0.0, 1e-3, 1.0, 2.5, 30.0]
FUNCTIONS = [
    ("sigmoid", {}, lambda x: 1 / (1 + math.exp(-x))),
    ("tanh", {}, lambda x: (math.exp(x) - math.exp(-x)) / (math.exp(x) + math.exp(-x))),
    ("relu", {}, lambda x: x if x > 0 else 0.0),
    ("leaky_relu", {}, lambda x: x if x > 0 else 0.01 * x),
    ("leaky_relu", {"slope": 0.3}, lambda x: x if x > 0 else 0.3 * x),
    ("elu", {}, lambda x: x if x > 0 else math.expm1(x)),
    ("elu", {"alpha": 0.7}, lambda x: x if x > 0 else 0.7 * math.expm1(x)),
    ("selu", {}, lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x))),
    ("gelu", {}, lambda x: x * math.erfc(-x / math.sqrt(2)) / 2),  # 1 + erf has no correct digit at −30
    (
        "gelu",
        {"approximate": True},
        lambda x: x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    ),
    ("silu", {}, lambda x: x / (1 + math.exp(-x))),
    ("mish", {}, lambda x: x * math.tanh(math.log1p(math.exp(x)))),
    ("softplus", {}, lambda x: math.log1p(math.exp(x))),
    ("softsign", {}, lambda x: x / (1 + abs(x))),
    ("hard_sigmoid", {}, lambda x: 0.0 if x < -3 else 1.0 if x > 3 else x / 6 + 0.5),
    ("hard_sigmoid", {"slope": 0.2}, lambda x: min(max(0.2 * x + 0.5, 0.0), 1.0)),
    ("hard_tanh", {}, lambda x: -1.0 if x < -1 else 1.0 if x > 1 else x),
]


@pytest.mark.parametrize(("name", "options", "function"), FUNCTIONS)
def test_activations_follow_their_formula(name, options, function):
    y = layer_at(name, [POINTS], **options).forward()
    np.testing.assert_allclose(y[0], [function(x) for x in POINTS], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_equals_scipys_even_for_extreme_logits(name):
    logits = [[0.1, -2.0, 3.0], [5.0, 5.0, 5.0], [-1.0, 0.0, -700.0], [1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]]
    expected = getattr(special, name)(logits, axis=1)
    np.testing.assert_allclose(layer_at(name, logits).forward(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["linear", "maxout"])
def test_weight_decay_applies_to_weights_only_and_fans_are_those_of_one_unit(name):
    parameters = registries["layer"].create(name, units=30).parameters(78)
    assert {key: one.decay for key, one in parameters.items()} == {"W": True, "b": False}
    assert (parameters["W"].fan_in, parameters["W"].fan_out) == (78, 30)


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm", "rms_norm", "prelu"])
def test_parameters_other_than_weights_have_no_weight_decay_and_their_own_start(name):
    parameters = registries["layer"].create(name).parameters(3)
    assert not any(one.decay for one in parameters.values())
    start = {"gamma": {"name": "constant", "value": 1.0}, "a": {"name": "constant", "value": 0.25}}
    assert {key: one.init for key, one in parameters.items()} == {
        key: start.get(key, "zeros") for key in parameters
    }


def test_derivatives_at_kinks_are_those_of_the_docstrings():
    for name, options, p, x, expected in (
        ("relu", {}, {}, [0.0, -0.0, 1e-300, -1e-300], [0, 0, 1, 0]),
        ("leaky_relu", {"slope": 0.25}, {}, [0.0], [0.25]),
        ("prelu", {}, {"a": np.array([0.5, -1.0])}, [0.0, -2.0], [0.5, -1]),
        ("elu", {"alpha": 0.5}, {}, [0.0], [0.5]),
        ("hard_tanh", {}, {}, [-1.0, 1.0, -1.5, 1.5], [1, 1, 0, 0]),
        ("hard_sigmoid", {"slope": 0.25}, {}, [-2.0, 2.0, -2.5, 2.5], [0.25, 0.25, 0, 0]),
    ):
        np.testing.assert_array_equal(derivative(layer_at(name, [x], p, **options))[0], expected, name)


def test_hard_sigmoid_never_leaves_the_range_from_0_to_1():
    # At x near ±3, rounding of slope · x + 1/2 could give a value below 0, which has no logarithm.
    near = np.nextafter(np.float32(3), np.float32([0, 4]))
    x = np.concatenate([near, -near, [3, -3]]).astype(np.float32)[None]
    y = layer_at("hard_sigmoid", x).forward()
    assert y.min() >= 0
    assert y.max() <= 1


def test_softplus_stays_positive_far_below_0_and_has_the_logistic_slope():
    x = [-700.0, -300.0, -40.0]
    np.testing.assert_allclose(layer_at("softplus", [x]).forward()[0], [math.exp(v) for v in x], rtol=1e-13)
    np.testing.assert_allclose(derivative(layer_at("softplus", [x]))[0], [math.exp(v) for v in x], rtol=1e-13)


def test_selu_keeps_mean_0_and_variance_1():
    # The mean is the integral of selu times the density of N(0, 1), the variance that of selu². Each integral
    # is computed separately below and above the kink at 0.
    def moment(power):
        def integrand(x):
            y = layer_at("selu", [[x]]).forward().item()
            return y**power * math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)

        return quad(integrand, -12, 0, epsabs=1e-10)[0] + quad(integrand, 0, 12, epsabs=1e-10)[0]

    assert moment(1) == pytest.approx(0, abs=1e-8)
    assert moment(2) == pytest.approx(1, abs=1e-8)


# --- maxout --------------------------------------------------------------------------------------


def test_maxout_is_the_largest_of_its_pieces():
    rng = np.random.default_rng(4)
    x, W, b = rng.standard_normal((6, 4)), rng.standard_normal((4, 9)), rng.standard_normal(9)
    y = layer_at("maxout", x, {"W": W, "b": b}, units=3, pieces=3).forward()
    np.testing.assert_allclose(y, (x @ W + b).reshape(6, 3, 3).max(1), rtol=1e-13)
    equal = layer_at("maxout", x[:1], {"W": np.zeros((4, 6)), "b": np.zeros(6)}, units=2, pieces=3)
    derivative(equal, [3.0, 5.0])
    np.testing.assert_array_equal(equal.g["b"], [3, 5, 0, 0, 0, 0])  # first piece only


# --- random numbers in training ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout", "gaussian_noise"])
def test_in_evaluation_nothing_is_random(name):
    x, dy = np.random.default_rng(5).standard_normal((2, 7, 5))
    layer = layer_at(name, x, training=False)
    np.testing.assert_array_equal(layer.forward(), x)
    np.testing.assert_array_equal(derivative(layer, dy), dy)


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
    # Elements are dropped independently: the share varies between rows, and between columns, as expected.
    for axis in (0, 1):
        assert dropped.mean(axis).std() == pytest.approx(math.sqrt(rate * (1 - rate) / 500), rel=0.2)


def test_alpha_dropout_sets_dropped_elements_to_the_lower_limit_of_selu():
    rate, alpha = 0.2, -1.0507009873554805 * 1.6732632423543772
    a = (1 - rate + alpha**2 * (1 - rate) * rate) ** -0.5  # a and b of the paper, where q = 1 − rate
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


# --- normalization -------------------------------------------------------------------------------


def draw_affine(n_in):
    rng = np.random.default_rng(11)
    return {"gamma": rng.uniform(0.5, 2, n_in), "beta": rng.standard_normal(n_in)}


def statistics(values):
    """Mean and variance (divisor n) of a list, computed with loops."""
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / len(values)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("name", "axis"), [("batch_norm", 0), ("layer_norm", 1), ("rms_norm", 1)])
def test_normalization_follows_its_formula(name, axis, affine):
    x, p = np.random.default_rng(12).normal(3, 2, (6, 4)), {}
    if affine:
        p = {key: value for key, value in draw_affine(4).items() if name != "rms_norm" or key == "gamma"}
    expected = []
    for values in x.tolist() if axis else x.T.tolist():
        mean, variance = statistics(values)
        if name == "rms_norm":
            mean, variance = 0, sum(value**2 for value in values) / len(values)
        expected.append([(value - mean) / math.sqrt(variance + 1e-3) for value in values])
    scaled = np.array(expected if axis else list(zip(*expected, strict=True)))
    scaled = scaled * p.get("gamma", 1) + p.get("beta", 0)
    y = layer_at(name, x, p, epsilon=1e-3, affine=affine).forward()
    np.testing.assert_allclose(y, scaled, rtol=1e-12, atol=1e-14)


def test_batch_norm_keeps_running_statistics():
    rng = np.random.default_rng(14)
    layer = layer_at("batch_norm", np.zeros((5, 3)), draw_affine(3), momentum=0.8)
    mean, variance = [0.0] * 3, [1.0] * 3
    for _ in range(4):
        layer.x[...] = rng.normal(2, 3, (5, 3))
        layer.bound.forward()
        for j, column in enumerate(layer.x.T.tolist()):
            batch_mean, batch_variance = statistics(column)
            mean[j] = 0.8 * mean[j] + 0.2 * batch_mean
            variance[j] = 0.8 * variance[j] + 0.2 * batch_variance * 5 / 4  # with the divisor n − 1
    np.testing.assert_allclose(layer.ctx.state["mean"], mean, rtol=1e-13)
    np.testing.assert_allclose(layer.ctx.state["variance"], variance, rtol=1e-13)


def test_batch_norm_evaluates_with_the_running_statistics():
    state = {"mean": np.array([1.0, -2.0]), "variance": np.array([4.0, 0.25])}
    x, p = np.array([[3.0, -2.5], [1.0, 0.0]]), draw_affine(2)
    layer = layer_at("batch_norm", x, p, training=False, state=state, epsilon=1e-9)
    expected = np.array([[1.0, -1.0], [0.0, 4.0]]) * p["gamma"] + p["beta"]
    np.testing.assert_allclose(layer.forward(), expected, rtol=1e-8)
    np.testing.assert_allclose(derivative(layer), [p["gamma"] / [2, 0.5]] * 2, rtol=1e-8)
    # In evaluation, the other rows of a batch do not change a row's result.
    alone = layer_at("batch_norm", x[:1], p, training=False, state=state, epsilon=1e-9)
    np.testing.assert_array_equal(alone.forward(), layer.forward()[:1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_norm_of_one_row_is_beta(dtype):
    p = {name: value.astype(dtype) for name, value in draw_affine(3).items()}
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


# --- residual ------------------------------------------------------------------------------------


def test_residual_is_its_input_plus_its_layers():
    rng = np.random.default_rng(20)
    block = [{"name": "linear", "units": 6}, "tanh", {"name": "linear", "units": 4, "bias": False}]
    layer, x = registries["layer"].create("residual", layers=block), rng.standard_normal((5, 4))
    p = draw_parameters(layer, 4, rng)
    assert list(p) == ["0.linear.W", "0.linear.b", "2.linear.W"]
    hidden = np.tanh(x @ p["0.linear.W"] + p["0.linear.b"])
    np.testing.assert_allclose(BoundLayer(layer, x, p).forward(), x + hidden @ p["2.linear.W"], rtol=1e-13)


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


# --- embedding -----------------------------------------------------------------------------------


def test_embedding_is_a_product_with_one_hot_codes():
    rng = np.random.default_rng(22)
    x, p = (
        rng.standard_normal((12, 5)),
        {"E3": rng.standard_normal((4, 3)), "E1": rng.standard_normal((2, 3))},
    )
    x[:, 3], x[:, 1] = rng.integers(0, 4, 12), rng.integers(0, 2, 12)
    hot3, hot1 = np.eye(4)[x[:, 3].astype(int)], np.eye(2)[x[:, 1].astype(int)]
    expected = np.concatenate([x[:, [0, 2, 4]], hot3 @ p["E3"], hot1 @ p["E1"]], 1)
    y = layer_at("embedding", x, p, columns=[3, 1], categories=[4, 2], dim=3).forward()
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_codes_outside_the_categories_have_zero_vectors_and_train_nothing(dtype):
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "residual", "layers": ["linear"]}, "units must be given"),
        ({"name": "residual", "layers": []}, "at least one"),
        ({"name": "embedding", "columns": [0], "categories": []}, "categories"),
        ({"name": "embedding", "columns": [0, 0], "categories": [2, 2]}, "columns must be distinct"),
        ({"name": "embedding", "columns": [-1], "categories": [2]}, "columns must be at least 0"),
        ({"name": "embedding", "columns": [0], "categories": [0]}, "categories must be at least 1"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        registries["layer"].create(options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "residual", "layers": [{"name": "linear", "units": 5}]}, "linear turn 4 features into 5"),
        ({"name": "embedding", "columns": [4], "categories": [2]}, r"columns must be at most 3.*not 4"),
    ],
)
def test_a_number_of_features_that_a_layer_cannot_take_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        registries["layer"].create(options).n_out(4)
