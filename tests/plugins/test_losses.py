"""Losses: compared with slow loops, with scikit-learn and with backpropagation by hand; extreme outputs."""

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
from mlpframe.testing import BoundLoss, create_loss, differences
from mlpframe.training.network import Network, build_layers
from mlpframe.training.rng import Streams

both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def create(name, **options):
    return registries["loss"].create(name, **options)


def run(name, output, target, **options):
    """Bind the loss ``name`` with options to an output and a target; return its value and ∂l/∂output."""
    bound = BoundLoss(create(name, **options), np.asarray(output), np.asarray(target))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value = bound.run()
    return value, bound.d_output


# --- the likelihood of extreme outputs -------------------------------------------------------------


def logits(batch, classes, scale=3.0):
    rng = np.random.default_rng([batch, classes])
    return scale * rng.standard_normal((batch, classes)), rng.integers(0, classes, batch)


@both_dtypes
def test_cross_entropy_of_extreme_logits(dtype):
    o = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0], [-1e4, -1e4, -1e4]], dtype)
    target = np.array([0, 1, 2])
    rows = [BoundLoss(create_loss("cross_entropy"), o[i : i + 1], target[i : i + 1]) for i in range(3)]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        values = [row.run() for row in rows]
    np.testing.assert_allclose(values, [0, 2e4, math.log(3)], rtol=1e-6)
    gradient = np.concatenate([row.d_output for row in rows])
    np.testing.assert_allclose(gradient, [[0, 0, 0], [1, -1, 0], [1 / 3, 1 / 3, -2 / 3]], rtol=1e-6)


@both_dtypes
def test_nll_of_an_impossible_class_is_finite(dtype):
    smallest = {"float32": 2.0**-126, "float64": 2.0**-1022}[dtype]
    loss = BoundLoss(create_loss("nll"), np.array([[1, 0]], dtype), np.array([1]))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value = loss.run()
    assert value == pytest.approx(-math.log(smallest), rel=1e-6)
    np.testing.assert_allclose(loss.d_output, [[0, -1 / smallest]], rtol=1e-6)


# --- every formula, computed by slow loops -----------------------------------------------------------


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
def test_losses_for_classes_follow_their_formulas(case):
    options, slow = CLASS_FORMULAS[case]
    name, (o, classes) = case.partition(",")[0], logits(30, 4)
    targets = {"by number": classes, "by row": np.eye(4)[classes]}
    if registries["loss"][name].takes_probabilities:
        targets["probabilities"] = p = np.random.default_rng(2).dirichlet([0.5] * 4, 30)
        p[0], p[1] = [0, 0.5, 0.5, 0], [0, 0, 1, 0]
    else:
        del targets["by row"]
    if "multilabel" in registries["loss"][name].tasks:
        targets["several a row"] = t = np.random.default_rng(3).integers(0, 2, (30, 4)).astype(float)
        t[0], t[1] = 0, 1  # first row: no class; second row: all classes
    for how, target in targets.items():
        rows = np.eye(4)[target] if how == "by number" else target
        expected = np.mean([slow(*pair) for pair in zip(o.tolist(), rows.tolist(), strict=True)])
        value, gradient = run(name, o, target, **options)
        assert value == pytest.approx(expected, rel=1e-12), how
        slope, kinks = differences(lambda: run(name, o, target, **options)[0], o)  # noqa: B023
        np.testing.assert_allclose(gradient[~kinks], slope[~kinks], rtol=1e-6, atol=1e-9, err_msg=how)


@pytest.mark.parametrize("case", VALUE_FORMULAS)
@pytest.mark.parametrize("outputs", [1, 3])
def test_losses_for_values_follow_their_formulas(case, outputs):
    options, slow = VALUE_FORMULAS[case]
    rng = np.random.default_rng(outputs)
    o, t = 2 * rng.standard_normal((2, 30, outputs))
    expected = np.mean([slow(*pair) for pair in zip(o.tolist(), t.tolist(), strict=True)])
    assert run(case.partition(",")[0], o, t, **options)[0] == pytest.approx(expected, rel=1e-12)


# --- kinks: the subgradient that is taken ------------------------------------------------------------


@pytest.mark.parametrize("name", ["mae", "quantile"])
def test_an_error_of_0_has_the_gradient_0(name):
    value, gradient = run(name, [[1.0, 2.0, 3.0]], [[1.0, 3.0, 3.0]])
    assert value == pytest.approx({"mae": 1, "quantile": 0.5}[name] / 3)
    np.testing.assert_allclose(gradient, [[0, {"mae": -1, "quantile": -0.5}[name] / 3, 0]])


def test_slopes_of_a_quantile_are_exact_in_single_precision():
    _, gradient = run("quantile", np.float32([[1, -1]]), np.float32([[0, 0]]), quantile=0.001)
    np.testing.assert_allclose(gradient, [[0.999 / 2, -0.001 / 2]], rtol=1e-7)


@pytest.mark.parametrize("form", [STRONGEST, ALL])
def test_a_margin_that_is_met_exactly_has_the_gradient_0(form):
    value, gradient = run("hinge", [[3.0, 2.0, 2.0, -1.0]], [0], form=form)
    assert value == 0
    assert not gradient.any()


def test_the_first_of_equal_highest_scores_gets_the_gradient():
    value, gradient = run("hinge", [[1.0, 0.5, 1.0, 1.0]], [1])
    assert (value, gradient.tolist()) == (1.5, [[1, -1, 0, 0]])
    value, gradient = run("hinge", [[1.0, 0.5, 1.0, -1.0]], [1], form=ALL)
    assert (value, gradient.tolist()) == (3, [[1, -2, 1, 0]])


# --- exact for very large, very small and zero numbers ----------------------------------------------------


@both_dtypes
def test_log_cosh_is_exact_for_small_and_large_errors(dtype):
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
def test_focal_is_exact_for_almost_certain_predictions(dtype):
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    odds = math.exp(-20)  # 1 − p_c is odds / (1 + odds), and −log p_c is log1p(odds)
    value, gradient = run("focal", np.array([[20, 0]], dtype), np.array([0]), gamma=1.5)
    other = odds / (1 + odds)
    assert value == pytest.approx(other**1.5 * math.log1p(odds), rel=tolerance)
    slope = other**1.5 * (1 + 1.5 * (1 - other) * math.log1p(odds) / other)
    np.testing.assert_allclose(gradient, [[-other * slope, other * slope]], rtol=tolerance)
    for far in (200.0, 1e4):
        value, gradient = run("focal", np.array([[far, 0]], dtype), np.array([0]))
        assert 0 <= value < 1e-30
        np.testing.assert_allclose(gradient, 0, atol=1e-30)
        value, gradient = run("focal", np.array([[far, 0]], dtype), np.array([1]))
        assert value == pytest.approx(far)
        np.testing.assert_allclose(gradient, [[1, -1]])


@both_dtypes
def test_huber_does_not_overflow_where_the_squared_error_would(dtype):
    large = 1e30
    value, gradient = run("huber", np.array([[large]], dtype), np.zeros((1, 1), dtype), delta=2.0)
    assert value == pytest.approx(2 * large, rel=1e-6)
    assert gradient.tolist() == [[2]]


# --- relations, and other libraries -------------------------------------------------------------------


def test_kl_divergence_is_cross_entropy_minus_the_entropy_of_the_target():
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


@pytest.mark.parametrize("classes", [2, 5])
def test_losses_for_classes_equal_scikit_learns(classes):
    o, target = logits(50, classes)
    p = create("cross_entropy").predict(o)
    expected = log_loss(target, p, labels=range(classes))
    assert run("cross_entropy", o, target)[0] == pytest.approx(expected, rel=1e-12)
    assert run("nll", p, target)[0] == pytest.approx(expected, rel=1e-12)
    # For two classes, scikit-learn takes one number per row: the difference of the two scores.
    decision = o if classes > 2 else o[:, 1] - o[:, 0]
    expected = hinge_loss(target, decision, labels=range(classes))
    assert run("hinge", o, target)[0] == pytest.approx(expected, rel=1e-12)
    p = create("binary_cross_entropy").predict(o[:, :1])
    yes = (target == 1).astype(float)
    expected = log_loss(yes, np.hstack([1 - p, p]))
    assert run("binary_cross_entropy", o[:, :1], yes[:, None])[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("outputs", [1, 3])
def test_losses_for_values_equal_scikit_learns(outputs):
    o, t = np.random.default_rng(outputs).standard_normal((2, 40, outputs))
    for name, options, expected in (
        ("mse", {}, mean_squared_error(t, o)),
        ("mae", {}, mean_absolute_error(t, o)),
        ("quantile", {"quantile": 0.8}, mean_pinball_loss(t, o, alpha=0.8)),
    ):
        assert run(name, o, t, **options)[0] == pytest.approx(expected, rel=1e-12)


def test_quantile_loss_relative_to_the_best_constant_gives_scikit_learns_score():
    o, t = np.random.default_rng(8).standard_normal((2, 40, 1))
    constant = np.broadcast_to(np.percentile(t, 30), t.shape).copy()
    share = run("quantile", o, t, quantile=0.3)[0] / run("quantile", constant, t, quantile=0.3)[0]
    assert 1 - share == pytest.approx(d2_pinball_score(t, o, alpha=0.3), rel=1e-12)


def test_poisson_minus_its_minimum_is_half_the_deviance():
    rng = np.random.default_rng(5)
    o, t = rng.standard_normal((40, 1)), rng.poisson(3, (40, 1)) + 1.0
    above = run("poisson", o, t)[0] - run("poisson", np.log(t), t)[0]
    deviance = mean_poisson_deviance(t[:, 0], create("poisson").predict(o)[:, 0])
    assert above == pytest.approx(deviance / 2, rel=1e-12)
    np.testing.assert_allclose(run("poisson", np.log(t), t)[1], 0, atol=1e-16)


def test_predictions_are_softmax_sigmoid_exp_or_the_outputs_themselves():
    o = np.vstack([logits(10, 4)[0], [[1e4, -1e4, 0, 0]]])
    softmax = [*np.exp([log_softmax(row) for row in o[:10].tolist()]), [1, 0, 0, 0]]
    sigmoid = [[1 / (1 + math.exp(-value)) if value > -700 else 0 for value in row] for row in o.tolist()]
    for name in ("cross_entropy", "focal", "kl_divergence"):
        np.testing.assert_allclose(create(name).predict(o), softmax, rtol=1e-12)
    np.testing.assert_allclose(create("binary_cross_entropy").predict(o), sigmoid, rtol=1e-12)
    np.testing.assert_allclose(create("poisson").predict(o[:10]), np.exp(o[:10]))
    assert create("hinge").predict(o) is o


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("hinge", {"form": "crammer"}, "form must be crammer_singer or weston_watkins, not 'crammer'"),
        ("cross_entropy", {"class_weights": [1.0, -1.0]}, "class_weights must be at least 0"),
        ("binary_cross_entropy", {"class_weights": [-1.0]}, "class_weights must be at least 0"),
    ],
)
def test_invalid_options_are_refused(name, options, message):
    with pytest.raises(UsageError, match=message):
        create(name, **options)


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_wrong_number_of_class_weights_is_refused_before_the_first_step(name, batch):
    loss = create(name, class_weights=[1.0, 2.0])
    with pytest.raises(UsageError, match="class_weights has 2 numbers, but there are 3 classes"):
        BoundLoss(loss, np.zeros((batch, 3)), np.zeros(batch, int))


# --- backpropagation by hand -----------------------------------------------------------------------


def by_hand(x, W, b1, V, b2, true):
    """Loss and gradients of a network with one sigmoid layer, on one example, in loops over lists."""
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
    """Loss and gradients of the same network as a ``Network``, on a batch ``x`` with the classes ``true``."""
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


@pytest.mark.parametrize("loss", ["cross_entropy", "nll"])
def test_worked_example_has_the_printed_gradients(loss):
    value, gradients = by_network(loss, **{**WORKED, "x": [WORKED["x"]], "true": [0]})
    assert value == pytest.approx(math.log(2), rel=1e-12)
    for name, printed in PRINTED.items():
        np.testing.assert_allclose(gradients[name], printed, rtol=0, atol=5e-5)


@pytest.mark.parametrize("loss", ["cross_entropy", "nll"])
def test_batch_gradient_is_the_mean_of_single_gradients(loss):
    rng = np.random.default_rng(3)
    x, true = rng.standard_normal((5, 2)), [0, 1, 1, 0, 1]
    value, gradients = by_network(loss, **{**ASYMMETRIC, "x": x, "true": true})
    singles = [by_hand(**{**ASYMMETRIC, "x": x[i].tolist(), "true": true[i]}) for i in range(5)]
    assert value == pytest.approx(sum(single for single, _ in singles) / 5, rel=1e-12)
    for name, gradient in gradients.items():
        mean = np.mean([np.array(single[name]) for _, single in singles], axis=0)
        np.testing.assert_allclose(gradient, mean, rtol=1e-12, atol=1e-12)


@both_dtypes
def test_a_single_row_gets_the_same_prediction_as_in_a_batch(dtype: str) -> None:
    loss = create_loss("cross_entropy")
    rows = np.array([[0.3, -2.0, 5.0], [1e4, -1e4, 0.0], [-3.0, -3.0, -3.0]], dtype)
    together = loss.predict(rows)
    for row, expected in zip(rows, together, strict=True):
        alone = loss.predict(row[None])
        assert (alone.dtype, alone.shape) == (expected.dtype, (1, 3))
        np.testing.assert_allclose(alone[0], expected, rtol=4 * np.finfo(dtype).eps)
    assert np.isnan(loss.predict(np.full((1, 3), np.nan, dtype))).all()
