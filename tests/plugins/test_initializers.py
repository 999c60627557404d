"""Facts about every initializer there is, and the distributions they are named after."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy.stats import binomtest, kstest, norm, truncnorm

from mlpframe import registries
from mlpframe.api import Parameter, UsageError
from mlpframe.registry import REQUIRED
from mlpframe.training.network import Network, build_layers
from mlpframe.training.rng import Streams

INITIALIZERS = registries["initializer"]
PARAMETER = Parameter((400, 300), fan_in=400, fan_out=300)
VARIANCES = {"glorot": 2 / (400 + 300), "he": 2 / 400, "lecun": 1 / 400}

DRAWN = set(INITIALIZERS.names()) - {"zeros", "constant", "identity", "values"}

# one that needs to be given something has its own tests
every_initializer = pytest.mark.parametrize(
    "name",
    [n for n in INITIALIZERS.names() if all(o.default is not REQUIRED for o in INITIALIZERS.info(n).options)],
)
scaled = pytest.mark.parametrize("name", VARIANCES)


def draw(initializer, seed=0, parameter=PARAMETER):
    out = np.full(parameter.shape, np.nan)
    initializer.fill(out, parameter, np.random.default_rng(seed))
    return out


def assert_normal(values, variance):
    """Mean, variance and the whole distribution function, each within five standard errors."""
    n = values.size
    assert abs(values.mean()) < 5 * sqrt(variance / n)
    assert abs(values.var() - variance) < 5 * variance * sqrt(2 / n)
    assert kstest(values.ravel(), "norm", (0, sqrt(variance))).pvalue > 5.7e-7  # as likely as five


def assert_uniform(values, bound):
    n, variance = values.size, bound**2 / 3
    assert abs(values.mean()) < 5 * sqrt(variance / n)
    assert abs(values.var() - variance) < 5 * variance * sqrt(0.8 / n)  # kurtosis 1.8
    assert kstest(values.ravel(), "uniform", (-bound, 2 * bound)).pvalue > 5.7e-7
    assert values.min() >= -bound
    assert values.max() <= bound


@every_initializer
def test_fills_everything_with_finite_numbers(name):
    assert np.isfinite(draw(INITIALIZERS.create(name))).all()


@every_initializer
def test_same_seed_gives_the_same_bits(name):
    first = draw(INITIALIZERS.create(name), seed=5)
    assert first.tobytes() == draw(INITIALIZERS.create(name), seed=5).tobytes()
    if name in DRAWN:
        assert (first != draw(INITIALIZERS.create(name), seed=6)).any()


@every_initializer
def test_network_starts_from_the_same_numbers_in_both_precisions(name):
    def weights(dtype):
        layers = build_layers([{"name": "linear", "units": 4, "init": name}], 4)
        loss = registries["loss"].create("cross_entropy")
        return Network(layers, loss, 6, np.zeros(1, int), dtype, Streams(0)).w

    np.testing.assert_array_equal(weights("float32"), weights("float64").astype("float32"))


def test_zeros():
    np.testing.assert_array_equal(draw(INITIALIZERS.create("zeros")), np.zeros(PARAMETER.shape))


@pytest.mark.parametrize("std", [1.0, 0.05])
def test_normal(std):
    assert_normal(draw(INITIALIZERS.create("normal", std=std)), std**2)


def test_normal_is_standard_normal_by_default():
    assert_normal(draw(INITIALIZERS.create("normal")), 1)


@pytest.mark.parametrize("bound", [1.0, 0.05])
def test_uniform(bound):
    assert_uniform(draw(INITIALIZERS.create("uniform", bound=bound)), bound)


@scaled
def test_scaled_normal(name):
    assert_normal(draw(INITIALIZERS.create(name, distribution="normal")), VARIANCES[name])
    assert_normal(draw(INITIALIZERS.create(name)), VARIANCES[name])


@scaled
def test_scaled_uniform_has_the_same_variance(name):
    assert_uniform(draw(INITIALIZERS.create(name, distribution="uniform")), sqrt(3 * VARIANCES[name]))


@pytest.mark.parametrize(("name", "variance"), [("glorot", 2 / 1084), ("he", 2 / 784), ("lecun", 1 / 784)])
def test_variance_follows_the_fans_of_a_linear_layer(name, variance):
    layers = build_layers([{"name": "linear", "units": 300, "init": name}], 300)
    loss = registries["loss"].create("cross_entropy")
    network = Network(layers, loss, 784, np.zeros(1, int), "float64", Streams(0))
    assert_normal(network.views(network.w)["0.linear.W"], variance)


def test_values_are_those_given():
    values = INITIALIZERS.create("values", values=[[1, 2, 3], [4, 5, 6.5]])
    np.testing.assert_array_equal(draw(values, parameter=Parameter((2, 3))), [[1, 2, 3], [4, 5, 6.5]])
    with pytest.raises(UsageError, match=r"shape \(2, 3\) are given for a parameter of shape \(3, 2\)"):
        draw(values, parameter=Parameter((3, 2)))


# --- constant, truncated, orthogonal, identity, sparse --------------------------------------------------


@pytest.mark.parametrize("value", [1.0, 0.0, -0.25])
def test_constant(value):
    np.testing.assert_array_equal(draw(INITIALIZERS.create("constant", value=value)), value)


@pytest.mark.parametrize(("std", "cut"), [(1.0, 2.0), (0.05, 2.0), (3.0, 0.1), (0.5, 5.0), (1.0, 60.0)])
def test_truncated_normal(std, cut):
    values = draw(INITIALIZERS.create("truncated_normal", std=std, cut=cut))
    assert np.abs(values).max() <= cut * std
    assert kstest(values.ravel(), truncnorm(-cut, cut, 0, std).cdf).pvalue > 5.7e-7
    mass = norm.cdf(cut) - norm.cdf(-cut)
    variance = std**2 * (1 - 2 * cut * norm.pdf(cut) / mass)
    fourth = truncnorm.moment(4, -cut, cut) * std**4
    assert abs(values.mean()) < 5 * sqrt(variance / values.size)
    assert abs((values**2).mean() - variance) < 5 * sqrt((fourth - variance**2) / values.size)


def test_truncated_normal_keeps_eighty_eight_percent_of_its_standard_deviation_by_default():
    values = draw(INITIALIZERS.create("truncated_normal"), parameter=Parameter((1000, 1000)))
    assert values.std() == pytest.approx(0.87962566103423978, rel=0.003)  # as JAX and TensorFlow have it


def test_truncated_normal_takes_one_uniform_number_for_each_of_its_own():
    rng, other = np.random.default_rng(3), np.random.default_rng(3)
    INITIALIZERS.create("truncated_normal", cut=0.01).fill(np.empty((20, 30)), PARAMETER, rng)
    other.random(600)
    assert rng.random() == other.random()


@pytest.mark.parametrize("gain", [1.0, sqrt(2), 0.0])
@pytest.mark.parametrize("shape", [(400, 300), (300, 400), (64, 64), (1, 5), (5, 1), (1, 1)])
def test_orthogonal(shape, gain):
    W = draw(INITIALIZERS.create("orthogonal", gain=gain), parameter=Parameter(shape))
    product = W.T @ W if shape[0] >= shape[1] else W @ W.T
    np.testing.assert_allclose(product, gain**2 * np.eye(min(shape)), atol=1e-13)


def test_square_orthogonal_keeps_lengths_both_ways():
    W = draw(INITIALIZERS.create("orthogonal"), parameter=Parameter((50, 50)))
    x = np.random.default_rng(1).standard_normal((7, 50))
    for way in (W, W.T):
        np.testing.assert_allclose(np.linalg.norm(x @ way, axis=1), np.linalg.norm(x, axis=1), rtol=1e-13)


def test_orthogonal_prefers_no_direction():
    """Rotations and reflections of the plane are equally likely, and so are all angles."""
    initializer, rng = INITIALIZERS.create("orthogonal"), np.random.default_rng(0)
    drawn = np.empty((4000, 2, 2))
    for W in drawn:
        initializer.fill(W, Parameter((2, 2)), rng)
    reflections = int((np.linalg.det(drawn) < 0).sum())
    assert binomtest(reflections, len(drawn)).pvalue > 5.7e-7
    for column in (0, 1):
        angles = np.arctan2(drawn[:, 1, column], drawn[:, 0, column])
        assert kstest(angles, "uniform", (-np.pi, 2 * np.pi)).pvalue > 5.7e-7


def test_orthogonal_of_a_vector_is_a_direction_and_of_more_axes_one_matrix_each():
    initializer = INITIALIZERS.create("orthogonal", gain=2.0)
    assert np.linalg.norm(draw(initializer, parameter=Parameter((9,)))) == pytest.approx(2, rel=1e-14)
    stack = draw(initializer, parameter=Parameter((3, 6, 4)))
    for W in stack:
        np.testing.assert_allclose(W.T @ W, 4 * np.eye(4), atol=1e-13)
    assert np.abs(stack[0] - stack[1]).max() > 0.1


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3), (2, 5, 3)])
def test_identity(shape):
    W = draw(INITIALIZERS.create("identity", gain=-0.5), parameter=Parameter(shape))
    expected = np.zeros(shape)
    for i in range(min(shape[-2:])):
        expected[..., i, i] = -0.5
    np.testing.assert_array_equal(W, expected)


def test_identity_hands_on_what_it_gets():
    x = np.random.default_rng(0).standard_normal((3, 4))
    wide = draw(INITIALIZERS.create("identity"), parameter=Parameter((4, 6)))
    np.testing.assert_array_equal(x @ wide, np.hstack([x, np.zeros((3, 2))]))
    narrow = draw(INITIALIZERS.create("identity"), parameter=Parameter((4, 2)))
    np.testing.assert_array_equal(x @ narrow, x[:, :2])


@pytest.mark.parametrize("name", ["identity", "sparse"])
def test_a_vector_of_what_is_made_for_matrices_is_zero(name):
    np.testing.assert_array_equal(draw(INITIALIZERS.create(name), parameter=Parameter((7,))), np.zeros(7))


@pytest.mark.parametrize("shape", [(400, 300), (16, 300), (15, 20), (4, 300), (1, 1), (3, 40, 50)])
def test_sparse_gives_each_unit_so_many_weights(shape):
    W = draw(INITIALIZERS.create("sparse"), parameter=Parameter(shape))
    counts = np.count_nonzero(W, axis=-2)
    np.testing.assert_array_equal(counts, np.full(counts.shape, min(15, shape[-2])))


def test_sparse_weights_are_normal_and_inputs_equally_likely():
    W = draw(INITIALIZERS.create("sparse", connections=20, std=0.3), parameter=Parameter((100, 5000)))
    assert_normal(W[W != 0], 0.3**2)
    chosen = np.count_nonzero(W, axis=1)  # of each input: binomial, as units are independent
    assert (np.abs(chosen - 1000) < 5 * sqrt(5000 * 0.2 * 0.8)).all()
    together = np.count_nonzero((W[0] != 0) & (W[1] != 0))  # two inputs of one unit: without replacement
    chance = 20 / 100 * 19 / 99
    assert abs(together - 5000 * chance) < 5 * sqrt(5000 * chance * (1 - chance))


def test_linear_starts_with_glorot_weights_and_zero_biases():
    parameters = registries["layer"].create("linear", units=3).parameters(2)
    assert (parameters["W"].init, parameters["b"].init) == ("glorot", "zeros")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("normal", {"std": -0.1}, r"std must be at least 0, not -0\.1"),
        ("uniform", {"bound": -0.1}, r"bound must be at least 0, not -0\.1"),
        ("constant", {"value": float("inf")}, "value must be .* not inf"),
        ("truncated_normal", {"std": -1.0}, r"std must be at least 0 and less than inf, not -1\.0"),
        ("truncated_normal", {"cut": 0.0}, r"cut must be more than 0 and less than inf, not 0\.0"),
        ("orthogonal", {"gain": -1.0}, r"gain must be at least 0 and less than inf, not -1\.0"),
        ("identity", {"gain": float("nan")}, "gain must be .* not nan"),
        ("sparse", {"connections": 0}, "connections must be at least 1, not 0"),
        ("sparse", {"std": 0.0}, r"std must be more than 0 and less than inf, not 0\.0"),
        ("glorot", {"distribution": "gauss"}, "distribution must be normal or uniform, not 'gauss'"),
        ("he", {"distribution": ""}, "distribution must be normal or uniform, not ''"),
        ("lecun", {"distribution": "Normal"}, "distribution must be normal or uniform, not 'Normal'"),
    ],
)
def test_options_out_of_range_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        INITIALIZERS[name](**options)
