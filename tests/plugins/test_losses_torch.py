"""Losses compared with PyTorch's, if PyTorch is installed: values and gradients in double precision."""

from __future__ import annotations

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.testing import BoundLoss

torch = pytest.importorskip("torch")
F = torch.nn.functional

ROWS, OUTPUTS = 12, 5
WEIGHTS = [0.5, 2.0, 1.0, 0.0, 3.0]
V = torch.tensor(WEIGHTS, dtype=torch.float64)

CLASSES = {
    "cross_entropy": (F.cross_entropy, {}),
    "cross_entropy, smooth": (
        lambda o, t: F.cross_entropy(o, t, label_smoothing=0.1),
        {"label_smoothing": 0.1},
    ),
    # PyTorch divides the sum over a batch by the sum of the rows' weights; here the divisor is the number of
    # rows.
    "cross_entropy, weighted": (
        lambda o, t: F.cross_entropy(o, t, V, reduction="sum") / ROWS,
        {"class_weights": WEIGHTS},
    ),
    "cross_entropy, both": (
        lambda o, t: F.cross_entropy(o, t, V, reduction="sum", label_smoothing=0.3) / ROWS,
        {"class_weights": WEIGHTS, "label_smoothing": 0.3},
    ),
    # PyTorch divides this loss by the number of classes; here it is not divided.
    "hinge": (lambda o, t: OUTPUTS * F.multi_margin_loss(o, t), {"form": "weston_watkins"}),
    "hinge, squared": (
        lambda o, t: OUTPUTS * F.multi_margin_loss(o, t, p=2, margin=0.7),
        {"form": "weston_watkins", "squared": True, "margin": 0.7},
    ),
    # PyTorch has no focal loss: the formula uses PyTorch's softmax, and PyTorch differentiates it.
    "focal": (
        lambda o, t: ((1 - F.softmax(o, -1)) ** 2 * -F.log_softmax(o, -1))[torch.arange(ROWS), t].mean(),
        {},
    ),
    "binary_cross_entropy": (
        lambda o, t: F.binary_cross_entropy_with_logits(o, F.one_hot(t, OUTPUTS).double()),
        {},
    ),
}
PROBABILITIES = {
    "cross_entropy": (F.cross_entropy, {}),
    "cross_entropy, both": (
        lambda o, t: F.cross_entropy(o, t, V, reduction="sum", label_smoothing=0.3) / ROWS,
        {"class_weights": WEIGHTS, "label_smoothing": 0.3},
    ),
    # PyTorch takes logarithms of probabilities; reduction="mean" would also divide by the number of classes.
    "kl_divergence": (lambda o, t: F.kl_div(F.log_softmax(o, -1), t, reduction="batchmean"), {}),
    "binary_cross_entropy": (F.binary_cross_entropy_with_logits, {}),
    "binary_cross_entropy, weighted": (
        lambda o, t: F.binary_cross_entropy_with_logits(o, t, pos_weight=torch.tensor(2.5)),
        {"positive_weight": 2.5},
    ),
    "mse": (F.mse_loss, {}),
}
VALUES = {
    "mse": (F.mse_loss, {}),
    "mae": (F.l1_loss, {}),
    "huber": (F.huber_loss, {}),
    "huber, narrow": (lambda o, t: F.huber_loss(o, t, delta=0.3), {"delta": 0.3}),
    # PyTorch's smooth L1 loss is Huber's divided by δ
    "huber, smooth": (lambda o, t: 0.3 * F.smooth_l1_loss(o, t, beta=0.3), {"delta": 0.3}),
    # PyTorch also leaves out the term log t! unless full=True.
    "poisson": (F.poisson_nll_loss, {}),
    # PyTorch has neither of these two losses: PyTorch differentiates their formulas.
    "log_cosh": (lambda o, t: torch.log(torch.cosh(o - t)).mean(), {}),
    "quantile": (
        lambda o, t: torch.maximum(0.9 * (t - o), 0.1 * (o - t)).mean(),
        {"quantile": 0.9},
    ),
}


def compare(case, function, options, output, target):
    loss = registries["loss"].create(case.partition(",")[0], **options)
    bound = BoundLoss(loss, output, target)
    value = bound.run()
    o = torch.tensor(output, requires_grad=True)
    expected = function(o, torch.tensor(target))
    expected.backward()
    assert value == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(bound.d_output, o.grad.numpy(), rtol=1e-10, atol=1e-15)


def draw():
    rng = np.random.default_rng(3)
    return rng, 2 * rng.standard_normal((ROWS, OUTPUTS))


@pytest.mark.parametrize("case", CLASSES)
def test_losses_for_classes_equal_pytorchs(case):
    rng, output = draw()
    compare(case, *CLASSES[case], output, rng.integers(0, OUTPUTS, ROWS))


@pytest.mark.parametrize("case", PROBABILITIES)
def test_losses_for_probabilities_equal_pytorchs(case):
    rng, output = draw()
    target = rng.dirichlet([1] * OUTPUTS, ROWS)
    target[0] = np.eye(OUTPUTS)[2]
    compare(case, *PROBABILITIES[case], output, target)


@pytest.mark.parametrize("case", VALUES)
def test_losses_for_values_equal_pytorchs(case):
    rng, output = draw()
    compare(case, *VALUES[case], output, 2 * rng.standard_normal(output.shape))


def test_nll_equals_pytorchs():
    rng, output = draw()
    # PyTorch's nll_loss takes logarithms of probabilities; the loss nll takes the probabilities themselves.
    y = np.exp(output) / np.exp(output).sum(1, keepdims=True)
    compare("nll", lambda p, t: F.nll_loss(p.log(), t), {}, y, rng.integers(0, OUTPUTS, ROWS))


def test_the_kink_of_mae_has_pytorchs_derivative():
    output, target = np.array([[1.0, 2.0]]), np.array([[1.0, 3.0]])
    compare("mae", F.l1_loss, {}, output, target)
