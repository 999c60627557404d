"""Facts about every initializer there is, and the distributions they are named after."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy.stats import kstest

from mlpframe import registries
from mlpframe.api import Parameter
from mlpframe.network import Network, build_layers
from mlpframe.rng import Streams

INITIALIZERS = registries["initializer"]
PARAMETER = Parameter((400, 300), fan_in=400, fan_out=300)
VARIANCES = {"glorot": 2 / (400 + 300), "he": 2 / 400, "lecun": 1 / 400}

every_initializer = pytest.mark.parametrize("name", INITIALIZERS.names())
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
    if first.min() < first.max():
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


def test_linear_starts_with_glorot_weights_and_zero_biases():
    parameters = registries["layer"].create("linear", units=3).parameters(2)
    assert (parameters["W"].init, parameters["b"].init) == ("glorot", "zeros")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("normal", {"std": -0.1}, r"std must be at least 0, not -0\.1"),
        ("uniform", {"bound": -0.1}, r"bound must be at least 0, not -0\.1"),
        ("glorot", {"distribution": "gauss"}, "distribution must be normal or uniform, not 'gauss'"),
        ("he", {"distribution": ""}, "distribution must be normal or uniform, not ''"),
        ("lecun", {"distribution": "Normal"}, "distribution must be normal or uniform, not 'Normal'"),
    ],
)
def test_options_out_of_range_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        INITIALIZERS[name](**options)
