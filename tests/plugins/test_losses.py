"""Facts about every loss there is, the losses' formulas, and backpropagation by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import (
    d2_pinball_score,
    hinge_loss,
    log_loss,
    mean_absolute_error,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_squared_error,
)

from mlpframe import registries
from mlpframe.api import UsageError
from mlpframe.testing import (
    BoundLayer,
    BoundLoss,
    assert_gradient,
    away_from_zero,
    central_difference,
    create_layer,
    create_loss,
)
from mlpframe.training.network import Network, build_layers
from mlpframe.training.rng import Streams
from tests.running import mlpframe

CASES = [(name, task) for name in registries["loss"].names() for task in registries["loss"][name].tasks]
VARIANTS = [
    (name, task, options)
    for name, task in CASES
    for options in ({}, *getattr(registries["loss"][name], "examples", ()))
]

every_loss = pytest.mark.parametrize(("name", "task"), CASES)
every_variant = pytest.mark.parametrize(("name", "task", "options"), VARIANTS)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def create(name, **options):
    return registries["loss"].create(name, **options)


def run(name, output, target, **options):
    """Loss and ∂l/∂output of a loss with options, of single rows as they are given."""
    bound = BoundLoss(create(name, **options), np.asarray(output), np.asarray(target))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value = bound.run()
    return value, bound.d_output


def case(name, task, batch=7, outputs=3):
    """A loss bound to an output in the domain of all losses: for classes, positive and less than 1."""
    rng = np.random.default_rng([batch, outputs])
    if task == "classification":
        output, target = rng.uniform(0.05, 0.95, (batch, outputs)), rng.integers(0, outputs, batch)
    elif task == "multilabel":
        output, target = rng.uniform(0.05, 0.95, (batch, outputs)), rng.integers(0, 2, (batch, outputs)) * 1.0
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


@every_variant
@pytest.mark.parametrize("stack", [(), (3,)])
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("outputs", [1, 4])
def test_weighted_rows_count_by_their_weights(name, task, options, stack, batch, outputs):
    rng = np.random.default_rng([batch, outputs])
    shape = (*stack, batch, outputs)
    output = rng.uniform(0.05, 0.95, shape)
    target = rng.integers(0, outputs, shape[:-1]) if task == "classification" else rng.standard_normal(shape)
    weights = rng.uniform(0.1, 2, shape[:-1])
    bound = BoundLoss(create(name, **options), output, target, weights)
    values = np.array(bound.run())
    assert values.shape == stack
    expected = np.zeros(stack)
    for at in np.ndindex(shape[:-1]):
        row, one = slice(at[-1], at[-1] + 1), at[:-1]
        value, gradient = run(name, output[(*one, row)], target[(*one, row)], **options)
        expected[one] += weights[at] * value / batch
        np.testing.assert_allclose(
            bound.d_output[at], weights[at] * gradient[0] / batch, rtol=1e-12, atol=1e-15
        )
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    computed = bound.d_output.copy()
    assert_gradient(computed, central_difference(lambda: np.sum(bound.run()), output))


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


# --- every formula, by loops over numbers -----------------------------------------------------------


def log_softmax(o):
    return [value - math.log(sum(math.exp(other) for other in o)) for value in o]


def slow_cross_entropy(o, t, smoothing=0.0, weights=None):
    weights = weights or [1] * len(o)
    t = [(1 - smoothing) * value + smoothing / len(o) for value in t]
    return -sum(v * a * b for v, a, b in zip(weights, t, log_softmax(o), strict=True))


def slow_binary(o, t, weight=1.0, classes=None):
    total = 0.0
    for value, yes, w in zip(o, t, classes or [1] * len(o), strict=True):
        p = 1 / (1 + math.exp(-value))
        total -= w * (weight * yes * math.log(p) + (1 - yes) * math.log(1 - p))
    return total / len(o)


def slow_focal(o, t, gamma):
    log_p = log_softmax(o)[t.index(1)]
    return -((1 - math.exp(log_p)) ** gamma) * log_p


def slow_hinge(o, t, form, power, margin=1.0):
    c = t.index(1)
    excess = [max(0.0, margin + o[j] - o[c]) for j in range(len(o)) if j != c]
    return max(excess) ** power if form == "crammer_singer" else sum(value**power for value in excess)


def slow_kl(o, t):
    return sum(a * (math.log(a) - b) for a, b in zip(t, log_softmax(o), strict=True) if a > 0)


def mean_of(function):
    return lambda o, t: sum(function(a, b) for a, b in zip(o, t, strict=True)) / len(o)


def slow_huber(delta):
    return mean_of(lambda o, t: (o - t) ** 2 / 2 if abs(o - t) <= delta else delta * (abs(o - t) - delta / 2))


def slow_pinball(q):
    return mean_of(lambda o, t: q * (t - o) if t >= o else (1 - q) * (o - t))


STRONGEST, ALL = "crammer_singer", "weston_watkins"
CLASS_FORMULAS = {
    "cross_entropy": ({}, slow_cross_entropy),
    "cross_entropy, smooth": ({"label_smoothing": 0.2}, lambda o, t: slow_cross_entropy(o, t, 0.2)),
    "cross_entropy, weighted": (
        {"label_smoothing": 0.1, "class_weights": [0.5, 2.0, 0.0, 1.5]},
        lambda o, t: slow_cross_entropy(o, t, 0.1, [0.5, 2.0, 0.0, 1.5]),
    ),
    "binary_cross_entropy": ({}, slow_binary),
    "binary_cross_entropy, weighted": ({"positive_weight": 2.5}, lambda o, t: slow_binary(o, t, 2.5)),
    "binary_cross_entropy, weighted classes": (
        {"positive_weight": 0.4, "class_weights": [0.5, 2.0, 0.0, 1.5]},
        lambda o, t: slow_binary(o, t, 0.4, [0.5, 2.0, 0.0, 1.5]),
    ),
    "focal": ({}, lambda o, t: slow_focal(o, t, 2)),
    "focal, steeper": ({"gamma": 3.5}, lambda o, t: slow_focal(o, t, 3.5)),
    "hinge": ({}, lambda o, t: slow_hinge(o, t, STRONGEST, 1)),
    "hinge, squared": ({"squared": True, "margin": 2.0}, lambda o, t: slow_hinge(o, t, STRONGEST, 2, 2.0)),
    "hinge, all": ({"form": ALL}, lambda o, t: slow_hinge(o, t, ALL, 1)),
    "hinge, all squared": (
        {"form": ALL, "squared": True, "margin": 0.5},
        lambda o, t: slow_hinge(o, t, ALL, 2, 0.5),
    ),
    "kl_divergence": ({}, slow_kl),
    "mse": ({}, mean_of(lambda o, t: (o - t) ** 2)),
}
VALUE_FORMULAS = {
    "mse": ({}, mean_of(lambda o, t: (o - t) ** 2)),
    "mae": ({}, mean_of(lambda o, t: abs(o - t))),
    "huber": ({}, slow_huber(1)),
    "huber, narrow": ({"delta": 0.3}, slow_huber(0.3)),
    "log_cosh": ({}, mean_of(lambda o, t: math.log(math.cosh(o - t)))),
    "quantile": ({}, slow_pinball(0.5)),
    "quantile, high": ({"quantile": 0.95}, slow_pinball(0.95)),
    "poisson": ({}, mean_of(lambda o, t: math.exp(o) - t * o)),
}


@pytest.mark.parametrize("case", CLASS_FORMULAS)
def test_losses_of_classes_are_their_formulas(case):
    options, slow = CLASS_FORMULAS[case]
    o, classes = logits(30, 4)
    onehot = np.eye(4)[classes]
    expected = np.mean([slow(*pair) for pair in zip(o.tolist(), onehot.tolist(), strict=True)])
    assert run(case.partition(",")[0], o, classes, **options)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("case", [case for case in CLASS_FORMULAS if case.startswith("binary_cross_entropy")])
def test_losses_of_several_classes_a_row_are_their_formulas(case):
    options, slow = CLASS_FORMULAS[case]
    o, _ = logits(30, 4)
    t = np.random.default_rng(3).integers(0, 2, (30, 4)).astype(float)
    t[0], t[1] = 0, 1  # no class, every class
    expected = np.mean([slow(*pair) for pair in zip(o.tolist(), t.tolist(), strict=True)])
    bound = BoundLoss(create("binary_cross_entropy", **options), o, t)
    assert bound.run() == pytest.approx(expected, rel=1e-12)
    bound.run()
    assert_gradient(bound.d_output.copy(), central_difference(bound.run, bound.output))
    losses, slopes = create("binary_cross_entropy", **options).textbook(o, t)
    bound.run()
    assert losses.mean() == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(bound.d_output, slopes / 30, rtol=1e-9, atol=1e-12)


TAKE_PROBABILITIES = [
    case for case in CLASS_FORMULAS if registries["loss"][case.partition(",")[0]].takes_probabilities
]


@pytest.mark.parametrize("case", TAKE_PROBABILITIES)
def test_losses_of_probabilities_are_their_formulas(case):
    options, slow = CLASS_FORMULAS[case]
    name, (o, classes) = case.partition(",")[0], logits(30, 4)
    p = np.random.default_rng(2).dirichlet([0.5] * 4, 30)
    p[0], p[1] = [0, 0.5, 0.5, 0], [0, 0, 1, 0]
    expected = np.mean([slow(*pair) for pair in zip(o.tolist(), p.tolist(), strict=True)])
    value, gradient = run(name, o, p, **options)
    assert value == pytest.approx(expected, rel=1e-12)
    assert_gradient(gradient, central_difference(lambda: run(name, o, p, **options)[0], o))
    by_number, by_row = run(name, o, classes, **options), run(name, o, np.eye(4)[classes], **options)
    assert by_number[0] == pytest.approx(by_row[0], rel=1e-13)
    np.testing.assert_allclose(by_number[1], by_row[1], rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("case", VALUE_FORMULAS)
@pytest.mark.parametrize("outputs", [1, 3])
def test_losses_of_values_are_their_formulas(case, outputs):
    options, slow = VALUE_FORMULAS[case]
    rng = np.random.default_rng(outputs)
    o, t = 2 * rng.standard_normal((2, 30, outputs))
    expected = np.mean([slow(*pair) for pair in zip(o.tolist(), t.tolist(), strict=True)])
    assert run(case.partition(",")[0], o, t, **options)[0] == pytest.approx(expected, rel=1e-12)


# --- kinks: the subgradient that is taken ------------------------------------------------------------


@pytest.mark.parametrize("name", ["mae", "quantile"])
def test_no_error_pulls_nowhere(name):
    value, gradient = run(name, [[1.0, 2.0, 3.0]], [[1.0, 3.0, 3.0]])
    assert value == pytest.approx({"mae": 1, "quantile": 0.5}[name] / 3)
    np.testing.assert_allclose(gradient, [[0, {"mae": -1, "quantile": -0.5}[name] / 3, 0]])


def test_slopes_of_a_quantile_are_exact_in_single_precision():
    _, gradient = run("quantile", np.float32([[1, -1]]), np.float32([[0, 0]]), quantile=0.001)
    np.testing.assert_allclose(gradient, [[0.999 / 2, -0.001 / 2]], rtol=1e-7)


@pytest.mark.parametrize("form", [STRONGEST, ALL])
def test_a_margin_that_is_just_kept_pulls_nowhere(form):
    value, gradient = run("hinge", [[3.0, 2.0, 2.0, -1.0]], [0], form=form)
    assert value == 0
    assert not gradient.any()


def test_the_first_of_the_strongest_classes_is_pushed():
    value, gradient = run("hinge", [[1.0, 0.5, 1.0, 1.0]], [1])
    assert (value, gradient.tolist()) == (1.5, [[1, -1, 0, 0]])
    value, gradient = run("hinge", [[1.0, 0.5, 1.0, -1.0]], [1], form=ALL)
    assert (value, gradient.tolist()) == (3, [[1, -2, 1, 0]])


# --- stable where numbers are far, near, or nothing ----------------------------------------------------


@both_dtypes
def test_log_cosh_near_and_far(dtype):
    for error in (1e-6, 1e-3, 0.5, 19.99, 20.0, 20.01, 80.0, 1e4, -1e4, -1e-6):
        value, gradient = run("log_cosh", np.array([[error]], dtype), np.zeros((1, 1), dtype))
        far = abs(error) + math.log1p(math.exp(-2 * abs(error))) - math.log(2)
        near = error**2 / 2 - error**4 / 12
        expected = near if abs(error) < 0.01 else far
        assert value == pytest.approx(expected, rel=1e-6 if dtype == "float32" else 1e-12)
        assert gradient[0, 0] == pytest.approx(math.tanh(error), rel=1e-6)


@both_dtypes
def test_binary_cross_entropy_of_extreme_logits(dtype):
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for o, right in ((40.0, 1), (-40.0, 0)):
        good, _ = run("binary_cross_entropy", np.array([[o]], dtype), np.array([[right]], dtype))
        assert good == pytest.approx(math.exp(-40), rel=tolerance)
        bad, gradient = run("binary_cross_entropy", np.array([[o]], dtype), np.array([[1 - right]], dtype))
        assert (bad, gradient[0, 0]) == (40, math.copysign(1, o))
    assert run("binary_cross_entropy", np.array([[1e4, -1e4]], dtype), np.array([0]))[0] == 0
    assert run("binary_cross_entropy", np.array([[1e4, -1e4]], dtype), np.array([1]))[0] == 1e4


@both_dtypes
def test_focal_of_rows_that_are_certain(dtype):
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    odds = math.exp(-20)  # 1 − p_c is odds / (1 + odds), and −log p_c is log1p(odds)
    value, gradient = run("focal", np.array([[20, 0]], dtype), np.array([0]), gamma=1.5)
    rest = odds / (1 + odds)
    assert value == pytest.approx(rest**1.5 * math.log1p(odds), rel=tolerance)
    slope = rest**1.5 * (1 + 1.5 * (1 - rest) * math.log1p(odds) / rest)
    np.testing.assert_allclose(gradient, [[-rest * slope, rest * slope]], rtol=tolerance)
    for far in (200.0, 1e4):
        value, gradient = run("focal", np.array([[far, 0]], dtype), np.array([0]))
        assert 0 <= value < 1e-30
        np.testing.assert_allclose(gradient, 0, atol=1e-30)
        value, gradient = run("focal", np.array([[far, 0]], dtype), np.array([1]))
        assert value == pytest.approx(far)
        np.testing.assert_allclose(gradient, [[1, -1]])


def test_focal_with_gamma_0_is_cross_entropy():
    o, target = logits(20, 5)
    value, gradient = run("focal", o, target, gamma=0.0)
    expected, slope = run("cross_entropy", o, target)
    assert value == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(gradient, slope, rtol=1e-12, atol=1e-16)


@both_dtypes
def test_squared_error_beyond_delta_does_not_overflow(dtype):
    large = 1e30
    value, gradient = run("huber", np.array([[large]], dtype), np.zeros((1, 1), dtype), delta=2.0)
    assert value == pytest.approx(2 * large, rel=1e-6)
    assert gradient.tolist() == [[2]]


# --- relations, and other libraries -------------------------------------------------------------------


def test_kl_divergence_is_cross_entropy_less_the_entropy():
    o, _ = logits(20, 4)
    t = np.random.default_rng(4).dirichlet([1] * 4, 20)
    value, gradient = run("kl_divergence", o, t)
    expected, slope = run("cross_entropy", o, t)
    entropy = -np.mean(np.sum(t * np.log(t), 1))
    assert value == pytest.approx(expected - entropy, rel=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-12, atol=1e-16)
    nothing, flat = run("kl_divergence", np.log(t), t)
    assert nothing == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(flat, 0, atol=1e-16)


def test_binary_cross_entropy_of_one_output_is_scikit_learns():
    o, t = logits(50, 1)[0], np.arange(50) % 2
    p = create("binary_cross_entropy").predict(o)
    value, _ = run("binary_cross_entropy", o, t[:, None].astype(float))
    assert value == pytest.approx(log_loss(t, np.hstack([1 - p, p])), rel=1e-12)


@pytest.mark.parametrize("classes", [2, 4])
def test_hinge_is_scikit_learns(classes):
    o, target = logits(50, classes)
    # with two classes scikit-learn takes one number, whose sign is the class: the difference of the scores
    decision = o if classes > 2 else o[:, 1] - o[:, 0]
    expected = hinge_loss(target, decision, labels=range(classes))
    assert run("hinge", o, target)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("outputs", [1, 3])
def test_losses_of_values_are_scikit_learns(outputs):
    rng = np.random.default_rng(outputs)
    o, t = rng.standard_normal((2, 40, outputs))
    assert run("mae", o, t)[0] == pytest.approx(mean_absolute_error(t, o), rel=1e-12)
    pinball = mean_pinball_loss(t, o, alpha=0.8)
    assert run("quantile", o, t, quantile=0.8)[0] == pytest.approx(pinball, rel=1e-12)


def test_the_score_of_quantiles_compares_with_the_best_constant():
    o, t = np.random.default_rng(8).standard_normal((2, 40, 1))
    constant = np.broadcast_to(np.percentile(t, 30), t.shape).copy()
    share = run("quantile", o, t, quantile=0.3)[0] / run("quantile", constant, t, quantile=0.3)[0]
    assert 1 - share == pytest.approx(d2_pinball_score(t, o, alpha=0.3), rel=1e-12)


def test_poisson_is_half_the_deviance_above_its_least():
    rng = np.random.default_rng(5)
    o, t = rng.standard_normal((40, 1)), rng.poisson(3, (40, 1)) + 1.0
    above = run("poisson", o, t)[0] - run("poisson", np.log(t), t)[0]
    deviance = mean_poisson_deviance(t[:, 0], create("poisson").predict(o)[:, 0])
    assert above == pytest.approx(deviance / 2, rel=1e-12)
    np.testing.assert_allclose(run("poisson", np.log(t), t)[1], 0, atol=1e-16)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "kl_divergence"])
def test_logits_are_read_as_probabilities(name):
    o, _ = logits(10, 4)
    p = create(name).predict(np.vstack([o, [[1e4, -1e4, 0, 0]]]))
    np.testing.assert_allclose(p[:10], np.exp([log_softmax(row) for row in o.tolist()]), rtol=1e-12)
    assert p[10].tolist() == [1, 0, 0, 0]


def test_what_other_predictions_are():
    o = np.array([[2.0, -1.0, 1e4, -1e4]])
    p = create("binary_cross_entropy").predict(o)
    np.testing.assert_allclose(p, [[1 / (1 + math.exp(-2)), 1 / (1 + math.e), 1, 0]], rtol=1e-12)
    assert create("hinge").predict(o) is o
    np.testing.assert_allclose(create("poisson").predict(o[:, :2]), [[math.exp(2), math.exp(-1)]])


@pytest.mark.parametrize(
    ("name", "options", "mentioned"),
    [
        ("hinge", {"form": "crammer"}, "form must be crammer_singer or weston_watkins, not 'crammer'"),
        ("hinge", {"margin": 0.0}, "margin must be more than 0"),
        ("quantile", {"quantile": 1.0}, "quantile must be more than 0 and less than 1"),
        ("cross_entropy", {"class_weights": [1.0, -1.0]}, "class_weights must be at least 0"),
        ("binary_cross_entropy", {"class_weights": [-1.0]}, "class_weights must be at least 0"),
    ],
)
def test_options_out_of_range_are_named(name, options, mentioned):
    with pytest.raises(UsageError, match=mentioned):
        create(name, **options)


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("batch", [1, 3])
def test_class_weights_of_the_wrong_number_are_refused(name, batch):
    loss = create(name, class_weights=[1.0, 2.0])
    with pytest.raises(UsageError, match="class_weights has 2 numbers, but there are 3 classes"):
        BoundLoss(loss, np.zeros((batch, 3)), np.zeros(batch, int))


def test_a_run_with_such_class_weights_does_not_start(tmp_path):
    done = mlpframe(tmp_path, "dataset=iris", "loss.class_weights=[1,2]", "tracking=none", "epochs=1")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "loss=cross_entropy: class_weights has 2 numbers, but there are 3 classes" in line
    assert not (tmp_path / "outputs").exists()


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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_alone_is_predicted_as_one_of_several(dtype: str) -> None:
    loss = create_loss("cross_entropy")
    rows = np.array([[0.3, -2.0, 5.0], [1e4, -1e4, 0.0], [-3.0, -3.0, -3.0]], dtype)
    together = loss.predict(rows)
    for row, expected in zip(rows, together, strict=True):
        alone = loss.predict(row[None])
        assert (alone.dtype, alone.shape) == (expected.dtype, (1, 3))
        np.testing.assert_allclose(alone[0], expected, rtol=4 * np.finfo(dtype).eps)
    assert np.isnan(loss.predict(np.full((1, 3), np.nan, dtype))).all()
