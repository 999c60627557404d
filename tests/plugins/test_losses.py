"""Facts about every loss there is, the losses' formulas, and backpropagation by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_squared_error

from mlpframe import registries
from mlpframe.network import Network, build_layers
from mlpframe.rng import Streams
from tests.gradients import (
    BoundLayer,
    BoundLoss,
    assert_gradient,
    away_from_zero,
    central_difference,
    create_layer,
    create_loss,
)

CASES = [(name, task) for name in registries["loss"].names() for task in registries["loss"][name].tasks]

every_loss = pytest.mark.parametrize(("name", "task"), CASES)


def case(name, task, batch=7, outputs=3):
    """A loss bound to an output in the domain of all losses: for classes, positive and less than 1."""
    rng = np.random.default_rng([batch, outputs])
    if task == "classification":
        output, target = rng.uniform(0.05, 0.95, (batch, outputs)), rng.integers(0, outputs, batch)
    else:
        target = rng.standard_normal((batch, outputs))
        output = target + away_from_zero(rng, batch, outputs)
    return BoundLoss(create_loss(name), output, target), target


# --- every loss ----------------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("outputs", [1, 4])
def test_gradient_is_the_slope(name, task, batch, outputs):
    loss, _ = case(name, task, batch, outputs)
    loss.run()
    computed = loss.d_output.copy()
    assert_gradient(computed, central_difference(loss.run, loss.output))


@every_loss
def test_loss_is_the_mean_over_the_batch(name, task):
    loss, target = case(name, task, batch=7)
    value = loss.run()
    rows = [BoundLoss(create_loss(name), loss.output[i : i + 1], target[i : i + 1]) for i in range(7)]
    assert value == pytest.approx(sum(row.run() for row in rows) / 7, rel=1e-13)
    gradient = np.concatenate([row.d_output for row in rows]) / 7
    np.testing.assert_allclose(loss.d_output, gradient, rtol=1e-13, atol=1e-16)


@every_loss
def test_output_is_left_alone(name, task):
    loss, _ = case(name, task)
    output, value = loss.output.copy(), loss.run()
    gradient = loss.d_output.copy()
    assert loss.run() == value
    np.testing.assert_array_equal(loss.output, output)
    np.testing.assert_array_equal(loss.d_output, gradient)


@every_loss
def test_single_precision_agrees_with_double(name, task):
    double, target = case(name, task)
    single = BoundLoss(create_loss(name), double.output.astype("float32"), target)
    value = single.run()
    assert type(value) is float  # not a NumPy number: it is collected and written as JSON
    assert value == pytest.approx(double.run(), rel=1e-5)
    np.testing.assert_allclose(single.d_output, double.d_output, rtol=1e-4, atol=1e-6)


@every_loss
def test_prediction_has_the_shape_of_the_output(name, task):
    loss, _ = case(name, task)
    assert create_loss(name).predict(loss.output).shape == loss.output.shape


# --- cross-entropy, in one and in two --------------------------------------------------------------


def logits(batch, classes, scale=3.0):
    rng = np.random.default_rng([batch, classes])
    return scale * rng.standard_normal((batch, classes)), rng.integers(0, classes, batch)


def softmax_nll(o, target):
    """Loss and ∂l/∂o through the layer softmax and the loss nll; and the probabilities."""
    layer = BoundLayer(create_layer("softmax"), o, {})
    y = layer.forward()
    loss = BoundLoss(create_loss("nll"), y, target)
    value = loss.run()
    layer.backward(loss.d_output)
    return value, layer.dx, y


@pytest.mark.parametrize("batch", [1, 7])
def test_cross_entropy_is_softmax_and_nll(batch):
    o, target = logits(batch, 5)
    combined = BoundLoss(create_loss("cross_entropy"), o, target)
    value, gradient, y = softmax_nll(o, target)
    assert combined.run() == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(combined.d_output, gradient, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(create_loss("cross_entropy").predict(o), y, rtol=1e-13)


def test_product_of_the_local_derivatives_is_y_minus_onehot():
    o, target = logits(1, 4)
    _, gradient, y = softmax_nll(o, target)
    np.testing.assert_allclose(gradient, y - np.eye(4)[target], rtol=1e-12)


def test_nll_local_derivative():
    loss = BoundLoss(create_loss("nll"), np.array([[0.2, 0.5, 0.3]]), np.array([2]))
    assert loss.run() == pytest.approx(-math.log(0.3), rel=1e-15)
    np.testing.assert_allclose(loss.d_output, [[0, 0, -1 / 0.3]], rtol=1e-15)


@pytest.mark.parametrize("batch", [1, 50])
def test_likelihood_losses_are_scikit_learns(batch):
    o, target = logits(batch, 5)
    powers = np.exp(o)
    y = powers / powers.sum(1, keepdims=True)
    expected = log_loss(target, y, labels=range(5))
    assert BoundLoss(create_loss("cross_entropy"), o, target).run() == pytest.approx(expected, rel=1e-12)
    assert BoundLoss(create_loss("nll"), y, target).run() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("batch", [1, 7])
def test_cross_entropy_gradient_is_the_slope_for_logits(batch):
    o, target = logits(batch, 4)
    loss = BoundLoss(create_loss("cross_entropy"), o, target)
    loss.run()
    computed = loss.d_output.copy()
    assert_gradient(computed, central_difference(loss.run, o))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_of_extreme_logits(dtype):
    o = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0], [-1e4, -1e4, -1e4]], dtype)
    target = np.array([0, 1, 2])
    rows = [BoundLoss(create_loss("cross_entropy"), o[i : i + 1], target[i : i + 1]) for i in range(3)]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        values = [row.run() for row in rows]
    np.testing.assert_allclose(values, [0, 2e4, math.log(3)], rtol=1e-6)
    gradient = np.concatenate([row.d_output for row in rows])
    np.testing.assert_allclose(gradient, [[0, 0, 0], [1, -1, 0], [1 / 3, 1 / 3, -2 / 3]], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nll_of_an_impossible_class_is_finite(dtype):
    smallest = {"float32": 2.0**-126, "float64": 2.0**-1022}[dtype]
    loss = BoundLoss(create_loss("nll"), np.array([[1, 0]], dtype), np.array([1]))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value = loss.run()
    assert value == pytest.approx(-math.log(smallest), rel=1e-6)
    np.testing.assert_allclose(loss.d_output, [[0, -1 / smallest]], rtol=1e-6)


# --- mean squared error ----------------------------------------------------------------------------


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mse_is_scikit_learns(outputs, dtype):
    loss, target = case("mse", "regression", batch=50, outputs=outputs)
    loss = BoundLoss(create_loss("mse"), loss.output.astype(dtype), target.astype(dtype))
    expected = mean_squared_error(target, loss.output)
    assert loss.run() == pytest.approx(expected, rel=1e-12 if dtype == "float64" else 1e-5)


def test_mse_of_classes_is_mse_of_onehot_rows():
    classes, target = case("mse", "classification")
    onehot = BoundLoss(create_loss("mse"), classes.output, np.eye(3)[target])
    assert classes.run() == onehot.run()
    np.testing.assert_array_equal(classes.d_output, onehot.d_output)


# --- backpropagation by hand -----------------------------------------------------------------------


def by_hand(x, W, b1, V, b2, true):
    """Loss and gradients of a network inputs-sigmoid-outputs on one example, in loops over lists."""
    inputs, hidden, outputs = range(len(W)), range(len(V)), range(len(V[0]))
    h = [1 / (1 + math.exp(-(sum(x[i] * W[i][j] for i in inputs) + b1[j]))) for j in hidden]
    o = [sum(h[i] * V[i][j] for i in hidden) + b2[j] for j in outputs]
    total = sum(math.exp(value) for value in o)
    y = [math.exp(value) / total for value in o]
    o_d = [y[j] - (1 if j == true else 0) for j in outputs]
    h_d = [sum(o_d[j] * V[i][j] for j in outputs) for i in hidden]
    k_d = [h_d[i] * h[i] * (1 - h[i]) for i in hidden]
    gradients = {
        "0.linear.W": [[k_d[j] * x[i] for j in hidden] for i in inputs],
        "0.linear.b": k_d,
        "2.linear.W": [[o_d[j] * h[i] for j in outputs] for i in hidden],
        "2.linear.b": o_d,
    }
    return -math.log(y[true]), gradients


def by_network(loss, x, W, b1, V, b2, true):
    """The same from a network, on a batch ``x`` of examples with the classes ``true``."""
    tail = ["softmax"] if loss == "nll" else []
    layers = build_layers([{"name": "linear", "units": len(V)}, "sigmoid", "linear", *tail], len(V[0]))
    network = Network(layers, create_loss(loss), len(W), np.array(true), "float64", Streams(0))
    values = {"0.linear.W": W, "0.linear.b": b1, "2.linear.W": V, "2.linear.b": b2}
    for name, view in network.views(network.w).items():
        view[...] = values[name]
    plan = network.plan(len(x), training=True)
    plan.x[...], plan.target[...] = x, true
    return plan.step(), network.views(network.g)


WORKED = {
    "x": [1.0, -1.0],
    "W": [[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]],
    "b1": [0.0, 0.0, 0.0],
    "V": [[1.0, 1.0], [-1.0, -1.0], [-1.0, -1.0]],
    "b2": [0.0, 0.0],
    "true": 0,
}
ASYMMETRIC = {
    "x": [0.7, -1.3],
    "W": [[0.2, -0.5, 1.1], [-0.4, 0.3, 0.8]],
    "b1": [0.1, -0.2, 0.05],
    "V": [[0.6, -1.0], [-0.3, 0.9], [1.4, 0.2]],
    "b2": [-0.15, 0.25],
    "true": 1,
}
PRINTED = {
    "0.linear.W": [[0, 0, 0], [0, 0, 0]],
    "0.linear.b": [0, 0, 0],
    "2.linear.W": [[-0.4404, 0.4404], [-0.4404, 0.4404], [-0.4404, 0.4404]],
    "2.linear.b": [-0.5, 0.5],
}
both_forms = pytest.mark.parametrize("loss", ["cross_entropy", "nll"])


def one_row(example):
    return {**example, "x": [example["x"]], "true": [example["true"]]}


@both_forms
def test_worked_example_has_the_printed_gradients(loss):
    value, gradients = by_network(loss, **one_row(WORKED))
    assert value == pytest.approx(math.log(2), rel=1e-12)
    for name, printed in PRINTED.items():
        np.testing.assert_allclose(gradients[name], printed, rtol=0, atol=5e-5)


@both_forms
@pytest.mark.parametrize("example", [WORKED, ASYMMETRIC], ids=["worked", "asymmetric"])
def test_network_agrees_with_loops_over_lists(loss, example):
    value, gradients = by_network(loss, **one_row(example))
    expected_value, expected = by_hand(**example)
    assert value == pytest.approx(expected_value, rel=1e-12)
    assert gradients.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(gradients[name], expected[name], rtol=1e-12, atol=1e-12)


def test_asymmetric_example_tells_all_gradients_apart():
    # in the worked example the first layer's gradient is 0, whatever its backward pass does
    _, expected = by_hand(**ASYMMETRIC)
    values = np.concatenate([np.ravel(gradient) for gradient in expected.values()])
    assert np.abs(values).min() > 0.01
    assert len(np.unique(values.round(6))) == values.size


@both_forms
def test_batch_gradient_is_the_mean_of_single_gradients(loss):
    rng = np.random.default_rng(3)
    x, true = rng.standard_normal((5, 2)), [0, 1, 1, 0, 1]
    value, gradients = by_network(loss, **{**ASYMMETRIC, "x": x, "true": true})
    singles = [by_hand(**{**ASYMMETRIC, "x": x[i].tolist(), "true": true[i]}) for i in range(5)]
    assert value == pytest.approx(sum(single for single, _ in singles) / 5, rel=1e-12)
    for name, gradient in gradients.items():
        mean = np.mean([np.array(single[name]) for _, single in singles], axis=0)
        np.testing.assert_allclose(gradient, mean, rtol=1e-12, atol=1e-12)
