"""Initializers: drawn numbers have the right distribution, within five standard errors."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy.stats import binomtest, kstest, norm, truncnorm

from mlpframe import registries
from mlpframe.api import Parameter, UsageError
from mlpframe.training.network import Network, build_layers
from mlpframe.training.rng import Streams

INITIALIZERS = registries["initializer"]
PARAMETER = Parameter((400, 300), fan_in=400, fan_out=300)


def draw(initializer, seed=0, parameter=PARAMETER):
    out = np.full(parameter.shape, np.nan)
    initializer.fill(out, parameter, np.random.default_rng(seed))
    return out


def assert_normal(values, variance):
    """Mean, variance and distribution function are those of N(0, variance), within five standard errors."""
    n = values.size
    assert abs(values.mean()) < 5 * sqrt(variance / n)
    assert abs(values.var() - variance) < 5 * variance * sqrt(2 / n)
    assert kstest(values.ravel(), "norm", (0, sqrt(variance))).pvalue > 5.7e-7  # five standard errors


def assert_uniform(values, bound):
    n, variance = values.size, bound**2 / 3
    assert abs(values.mean()) < 5 * sqrt(variance / n)
    assert abs(values.var() - variance) < 5 * variance * sqrt(0.8 / n)  # 0.8: kurtosis 1.8 minus 1
    assert kstest(values.ravel(), "uniform", (-bound, 2 * bound)).pvalue > 5.7e-7
    assert values.min() >= -bound
    assert values.max() <= bound


@pytest.mark.parametrize("name", [name for name in INITIALIZERS.names() if name != "values"])
def test_a_network_starts_from_the_same_numbers_in_both_precisions(name):
    def weights(dtype):
        layers = build_layers([{"name": "linear", "units": 4, "init": name}], 4)
        loss = registries["loss"].create("cross_entropy")
        return Network(layers, loss, 6, np.zeros(1, int), dtype, Streams(0)).w

    np.testing.assert_array_equal(weights("float32"), weights("float64").astype("float32"))


@pytest.mark.parametrize("scale", [1.0, 0.05])
def test_normal_and_uniform(scale):
    assert_normal(draw(INITIALIZERS.create("normal", std=scale)), scale**2)
    assert_uniform(draw(INITIALIZERS.create("uniform", bound=scale)), scale)


@pytest.mark.parametrize(("name", "variance"), [("glorot", 2 / 700), ("he", 2 / 400), ("lecun", 1 / 400)])
def test_the_variance_depends_on_fan_in_and_fan_out(name, variance):
    assert_normal(draw(INITIALIZERS.create(name)), variance)
    assert_uniform(draw(INITIALIZERS.create(name, distribution="uniform")), sqrt(3 * variance))
    with pytest.raises(UsageError, match="distribution must be normal or uniform, not 'gauss'"):
        INITIALIZERS.create(name, distribution="gauss")


def test_values_fill_a_parameter_of_their_shape():
    values = INITIALIZERS.create("values", values=[[1, 2, 3], [4, 5, 6.5]])
    np.testing.assert_array_equal(draw(values, parameter=Parameter((2, 3))), [[1, 2, 3], [4, 5, 6.5]])
    with pytest.raises(UsageError, match=r"shape \(2, 3\) are given for a parameter of shape \(3, 2\)"):
        draw(values, parameter=Parameter((3, 2)))


# --- constant, truncated, orthogonal, identity, sparse --------------------------------------------------


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


def test_truncated_normal_draws_one_uniform_number_for_each_weight():
    rng, other = np.random.default_rng(3), np.random.default_rng(3)
    INITIALIZERS.create("truncated_normal", cut=0.01).fill(np.empty((20, 30)), PARAMETER, rng)
    other.random(600)
    assert rng.random() == other.random()


@pytest.mark.parametrize("gain", [sqrt(2), 0.0])
@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (1, 5), (5, 1), (9,), (3, 6, 4)])
def test_orthogonal(shape, gain):
    W = draw(INITIALIZERS.create("orthogonal", gain=gain), parameter=Parameter(shape))
    matrices = W.reshape(-1, *shape[-2:]) if len(shape) > 1 else W[None, :, None]  # a vector as a column
    for matrix in matrices:
        tall = matrix if len(matrix) >= len(matrix.T) else matrix.T
        np.testing.assert_allclose(tall.T @ tall, gain**2 * np.eye(len(tall.T)), atol=1e-13)


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


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3), (2, 5, 3)])
def test_identity(shape):
    W = draw(INITIALIZERS.create("identity", gain=-0.5), parameter=Parameter(shape))
    expected = np.zeros(shape)
    for i in range(min(shape[-2:])):
        expected[..., i, i] = -0.5
    np.testing.assert_array_equal(W, expected)


@pytest.mark.parametrize("name", ["identity", "sparse"])
def test_initializers_made_for_matrices_fill_vectors_with_zeros(name):
    np.testing.assert_array_equal(draw(INITIALIZERS.create(name), parameter=Parameter((7,))), np.zeros(7))


@pytest.mark.parametrize("shape", [(400, 300), (16, 300), (15, 20), (4, 300), (1, 1), (3, 40, 50)])
def test_sparse_gives_each_unit_the_requested_number_of_weights(shape):
    W = draw(INITIALIZERS.create("sparse"), parameter=Parameter(shape))
    counts = np.count_nonzero(W, axis=-2)
    np.testing.assert_array_equal(counts, np.full(counts.shape, min(15, shape[-2])))


def test_sparse_weights_are_normal_and_inputs_equally_likely():
    W = draw(INITIALIZERS.create("sparse", connections=20, std=0.3), parameter=Parameter((100, 5000)))
    assert_normal(W[W != 0], 0.3**2)
    chosen = np.count_nonzero(W, axis=1)  # for each input: binomial, since units are independent
    assert (np.abs(chosen - 1000) < 5 * sqrt(5000 * 0.2 * 0.8)).all()
    together = np.count_nonzero((W[0] != 0) & (W[1] != 0))  # units that use both inputs 0 and 1
    chance = 20 / 100 * 19 / 99
    assert abs(together - 5000 * chance) < 5 * sqrt(5000 * chance * (1 - chance))


def test_linear_starts_with_glorot_weights_and_zero_biases():
    parameters = registries["layer"].create("linear", units=3).parameters(2)
    assert (parameters["W"].init, parameters["b"].init) == ("glorot", "zeros")
