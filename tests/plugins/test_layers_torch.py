"""Layers compared with PyTorch's, if PyTorch is installed: values and gradients in double precision."""

from __future__ import annotations

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.testing import BoundLayer, away_from_zero, draw_parameters

torch = pytest.importorskip("torch")
F = torch.nn.functional

SAME = {
    "sigmoid": (torch.sigmoid, {}),
    "tanh": (torch.tanh, {}),
    "relu": (torch.relu, {}),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), {"slope": 0.2}),
    "elu": (lambda x: F.elu(x, 0.7), {"alpha": 0.7}),
    "selu": (F.selu, {}),
    "gelu": (F.gelu, {}),
    "gelu by tanh": (lambda x: F.gelu(x, approximate="tanh"), {"approximate": True}),
    "silu": (F.silu, {}),
    "mish": (F.mish, {}),
    # Above a threshold, by default 20, PyTorch replaces softplus by x. Here no x reaches the threshold.
    "softplus": (lambda x: F.softplus(x, threshold=1e3), {}),
    "softsign": (F.softsign, {}),
    # At the two kinks, PyTorch has the derivative 0, and these layers do not. No x of this test is a kink.
    # PyTorch's own hardsigmoid rounds the slope 1/6 to single precision in every dtype, so hardtanh is used.
    "hard_sigmoid": (lambda x: F.hardtanh(x / 6 + 0.5, 0, 1), {}),
    "hard_tanh": (F.hardtanh, {}),
    "softmax": (lambda x: F.softmax(x, -1), {}),
    "log_softmax": (lambda x: F.log_softmax(x, -1), {}),
    "layer_norm": (lambda x: F.layer_norm(x, x.shape[-1:], eps=1e-3), {"epsilon": 1e-3, "affine": False}),
    # PyTorch's default epsilon depends on the dtype, so both sides get the same epsilon.
    "rms_norm": (lambda x: F.rms_norm(x, x.shape[-1:], eps=1e-3), {"epsilon": 1e-3, "affine": False}),
    "batch_norm": (
        lambda x: F.batch_norm(x, None, None, training=True, eps=1e-3),
        {"epsilon": 1e-3, "affine": False},
    ),
}


def compare(layer, function, p=None, *, training=True, state=None):
    """Compare a layer's outputs and gradients with those of a PyTorch function of x and the parameters."""
    rng = np.random.default_rng(1)
    x = 3 * away_from_zero(rng, 9, 5)
    p = draw_parameters(layer, 5, rng) if p is None else p
    bound = BoundLayer(layer, x, p, state=state or layer.state(5), training=training)
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in {"x": x, **p}.items()}
    y = function(*tensors.values())
    np.testing.assert_allclose(bound.forward(), y.detach().numpy(), rtol=1e-11, atol=1e-13)
    dy = rng.standard_normal(y.shape)
    bound.backward(dy)
    y.backward(torch.tensor(dy))
    for name, gradient in bound.gradients().items():
        np.testing.assert_allclose(gradient, tensors[name].grad.numpy(), rtol=1e-10, atol=1e-12)
    return bound, x


@pytest.mark.parametrize("name", SAME)
def test_layers_without_parameters(name):
    function, options = SAME[name]
    compare(registries["layer"].create(name.partition(" ")[0], **options), function)


def test_linear():
    compare(registries["layer"].create("linear", units=3), lambda x, W, b: x @ W + b)


@pytest.mark.parametrize("shared", [False, True])
def test_prelu(shared):
    compare(registries["layer"].create("prelu", shared=shared), F.prelu)


def test_layer_norm_with_gamma_and_beta():
    compare(
        registries["layer"].create("layer_norm"), lambda x, gamma, beta: F.layer_norm(x, (5,), gamma, beta)
    )


def test_rms_norm_with_gamma():
    layer = registries["layer"].create("rms_norm", epsilon=1e-6)
    compare(layer, lambda x, gamma: F.rms_norm(x, (5,), gamma, eps=1e-6))


def test_batch_norm_and_its_running_statistics():
    # PyTorch's momentum is the share of the new batch; here momentum is the share of the old statistics.
    mean, variance = torch.zeros(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)

    def function(x, gamma, beta):
        return F.batch_norm(x, mean, variance, gamma, beta, training=True, momentum=0.3, eps=1e-5)

    bound, _ = compare(registries["layer"].create("batch_norm", momentum=0.7), function)
    np.testing.assert_allclose(bound.ctx.state["mean"], mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(bound.ctx.state["variance"], variance.numpy(), rtol=1e-12)


def test_batch_norm_in_evaluation():
    rng = np.random.default_rng(2)
    state = {"mean": rng.standard_normal(5), "variance": rng.uniform(0.5, 2, 5)}
    mean, variance = (torch.tensor(array.copy()) for array in state.values())

    def function(x, gamma, beta):
        return F.batch_norm(x, mean, variance, gamma, beta, training=False, eps=1e-5)

    compare(registries["layer"].create("batch_norm"), function, training=False, state=state)


def test_maxout():
    # PyTorch has no maxout layer: the function takes the maximum over the pieces of a linear map.
    layer = registries["layer"].create("maxout", units=3, pieces=4)
    compare(layer, lambda x, W, b: (x @ W + b).reshape(9, 4, 3).amax(1))


def test_residual():
    layers = [{"name": "linear", "units": 7}, "gelu", {"name": "linear", "units": 5}]
    layer = registries["layer"].create("residual", layers=layers)
    compare(layer, lambda x, W1, b1, W2, b2: x + F.gelu(x @ W1 + b1) @ W2 + b2)


def test_embedding():
    rng = np.random.default_rng(3)
    layer = registries["layer"].create("embedding", columns=[1], categories=[4], dim=3)
    x, E = rng.standard_normal((30, 3)), rng.standard_normal((4, 3))
    codes = x[:, 1] = rng.integers(0, 4, 30)
    bound, table = BoundLayer(layer, x, {"E1": E}), torch.tensor(E, requires_grad=True)
    y = F.embedding(torch.tensor(codes), table)
    np.testing.assert_array_equal(bound.forward()[:, 2:], y.detach().numpy())
    dy = rng.standard_normal((30, 5))
    bound.backward(dy)
    y.backward(torch.tensor(dy[:, 2:].copy()))
    np.testing.assert_allclose(bound.g["E1"], table.grad.numpy(), rtol=1e-12, atol=1e-14)
