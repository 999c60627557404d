"""Optimizers compared with those of torch.optim that follow the same rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import cos
from typing import Any

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import Array
from mlpframe.training.network import Network, build_layers
from mlpframe.training.optim import Updater
from mlpframe.training.rng import Streams

torch = pytest.importorskip("torch")
swa_utils = torch.optim.swa_utils

STEPS = 200
SHAPES = {"0.linear.W": (6, 4), "0.linear.b": (4,)}
Make = Callable[[Any], Any]
"""A function that creates a torch optimizer from groups of parameters."""

SAME: list[tuple[str, dict[str, Any], Make, float, str]] = [
    # our optimizer, its options, torch's optimizer, the learning rate, how torch's options differ from ours
    ("sgd", {}, lambda p: torch.optim.SGD(p), 0.05, ""),
    ("sgd", {"weight_decay": 0.1}, lambda p: torch.optim.SGD(p, weight_decay=0.1), 0.05, ""),
    ("momentum", {}, lambda p: torch.optim.SGD(p, momentum=0.9), 0.01, "dampening is 0"),
    ("nesterov", {}, lambda p: torch.optim.SGD(p, momentum=0.9, nesterov=True), 0.01, "nesterov is a flag"),
    ("adam", {}, lambda p: torch.optim.Adam(p), 0.02, ""),
    ("adam", {"weight_decay": 0.1}, lambda p: torch.optim.Adam(p, weight_decay=0.1), 0.02, ""),
    ("adamw", {"weight_decay": 0.1}, lambda p: torch.optim.AdamW(p, weight_decay=0.1), 0.02, ""),
    ("amsgrad", {}, lambda p: torch.optim.Adam(p, amsgrad=True), 0.02, "a flag of Adam"),
    (
        "amsgrad",
        {"beta2": 0.9},
        lambda p: torch.optim.Adam(p, betas=(0.9, 0.9), amsgrad=True),
        0.02,
        "a flag",
    ),
    ("adagrad", {}, lambda p: torch.optim.Adagrad(p), 0.1, "lr_decay is 0"),
    (
        "adagrad",
        {"initial": 0.5, "epsilon": 0.1, "weight_decay": 0.1},
        lambda p: torch.optim.Adagrad(p, initial_accumulator_value=0.5, eps=0.1, weight_decay=0.1),
        0.1,
        "initial is initial_accumulator_value",
    ),
    ("adadelta", {}, lambda p: torch.optim.Adadelta(p, rho=0.95), 1.0, "decay is rho, there 0.9 by default"),
    (
        "rmsprop",
        {"decay": 0.99},
        lambda p: torch.optim.RMSprop(p),
        0.02,
        "decay is alpha, here 0.9 by default",
    ),
    (
        "rmsprop",
        {"centered": True, "epsilon": 0.01},
        lambda p: torch.optim.RMSprop(p, alpha=0.9, eps=0.01, centered=True),
        0.01,
        "centered is centered; there rounding may make the variance negative",
    ),
    ("adamax", {}, lambda p: torch.optim.Adamax(p), 0.02, ""),
    ("nadam", {}, lambda p: torch.optim.NAdam(p), 0.02, ""),
    (
        "nadam",
        {"momentum_decay": 0.1, "weight_decay": 0.1, "decoupled": True},
        lambda p: torch.optim.NAdam(p, momentum_decay=0.1, weight_decay=0.1, decoupled_weight_decay=True),
        0.02,
        "decoupled is decoupled_weight_decay",
    ),
    ("radam", {}, lambda p: torch.optim.RAdam(p), 0.02, ""),
    ("radam", {"epsilon": 0.1, "beta2": 0.9}, lambda p: torch.optim.RAdam(p, 1, (0.9, 0.9), 0.1), 0.02, ""),
]


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    """Double precision for torch's scalars too: its NAdam would keep μ₁ μ₂ … μₜ in single precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def groups(parameters: list[Any], factory: Make) -> Any:
    """Create torch's optimizer without weight decay of the last parameter, the bias, as in mlpframe."""
    made = factory([{"params": parameters[:-1]}, {"params": parameters[-1:]}])
    made.param_groups[1]["weight_decay"] = 0.0
    return made


class Both:
    """The same start in mlpframe and in torch, trained on gradients of the same function."""

    def __init__(self, name: str, options: dict[str, Any], factory: Make) -> None:
        init = {"name": "normal", "std": 1.0}
        layers = build_layers([{"name": "linear", "units": 4, "init": init}], 4)
        loss = registries["loss"].create("cross_entropy")
        self.network = Network(layers, loss, 6, np.zeros(1, np.intp), "float64", Streams(0))
        self.updater = Updater(registries["optimizer"].create(name, **options), self.network)
        views = self.network.views(self.network.w).values()
        self.parameters = [torch.nn.Parameter(torch.tensor(view)) for view in views]
        self.torch = groups(self.parameters, factory)
        self.rng = np.random.default_rng(0)
        self.size = self.network.w.size
        self.curvature = np.linspace(0.5, 3, self.size)

    def gradients(self) -> tuple[Array, list[Array]]:
        """Gradients of one quadratic with a random center: at mlpframe's weights and at torch's weights."""
        centre, w = self.rng.standard_normal(self.size), self.network.w
        ours = self.curvature * (w - centre)
        theirs = self.curvature * (self.theirs() - centre)
        return ours, list(self.network.views(theirs).values())

    def theirs(self) -> Array:
        return np.concatenate([p.detach().numpy().ravel() for p in self.parameters])

    def step(self, rate: float) -> None:
        self.network.g[...], gradients = self.gradients()
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = torch.tensor(gradient)
        for group in self.torch.param_groups:
            group["lr"] = rate
        self.updater.update(rate)
        self.torch.step()


@pytest.mark.parametrize(("name", "options", "factory", "rate", "difference"), SAME)
def test_takes_the_steps_of_torch(
    name: str, options: dict[str, Any], factory: Make, rate: float, difference: str
) -> None:
    both = Both(name, options, factory)
    assert [tuple(p.shape) for p in both.parameters] == list(SHAPES.values())
    start = both.network.w.copy()
    for step in range(STEPS):
        both.step(rate * (1 + 0.5 * cos(0.1 * step)))
        np.testing.assert_allclose(both.network.w, both.theirs(), rtol=1e-9, atol=1e-11, err_msg=difference)
    assert np.abs(both.network.w - start).max() > 0.1


def test_rprop_takes_the_steps_of_torch() -> None:
    """torch's rate is only the first step size, which is ``initial`` here; our rate multiplies every step."""
    both = Both("rprop", {"initial": 0.02}, lambda p: torch.optim.Rprop(p, lr=0.02))
    for step in range(STEPS):
        centre = np.sin(np.arange(both.size) + 0.02 * step)  # slow, so that most gradients keep their signs
        both.network.g[...] = both.curvature * (both.network.w - centre)
        theirs = both.curvature * (both.theirs() - centre)
        for parameter, gradient in zip(both.parameters, both.network.views(theirs).values(), strict=True):
            parameter.grad = torch.tensor(gradient)
        both.updater.update(1.0)
        both.torch.step()
        np.testing.assert_allclose(both.network.w, both.theirs(), rtol=1e-9, atol=1e-11)


def test_muon_takes_the_first_step_of_torch_up_to_its_rounding() -> None:
    """torch stores a weight as ``(n_out, n_in)`` and iterates in bfloat16, which has only three digits."""
    g = np.random.default_rng(0).standard_normal((6, 4))
    muon, w = registries["optimizer"].create("muon"), np.zeros((6, 4))
    muon.update(w, g, {"v": np.zeros_like(w)}, 1.0, 1, np.empty_like(w))
    for ours, gradient in ((w, g.T), (None, g)):
        parameter = torch.nn.Parameter(torch.zeros(gradient.shape, dtype=torch.float64))
        parameter.grad = torch.tensor(gradient)
        torch.optim.Muon([parameter], lr=1.0, weight_decay=0.0).step()
        # with more outputs than inputs, the factor √(n_out / n_in) is not 1
        if ours is None:
            ours = np.zeros((4, 6))
            muon.update(ours, g.T.copy(), {"v": np.zeros_like(ours)}, 1.0, 1, np.empty_like(ours))
        np.testing.assert_allclose(ours.T, parameter.detach().numpy(), atol=0.03)


def averaged(name: str, options: dict[str, Any], averaging: Make, updates: Callable[[int], bool]) -> Any:
    """After every step: mlpframe's evaluated weights, torch's average of the weights, and the weights."""
    both = Both(name, {"inner": "sgd", **options}, lambda p: torch.optim.SGD(p))
    model = torch.nn.ParameterList(both.parameters)
    average, found, expected, path = averaging(model), [], [], []
    for step in range(1, STEPS + 1):
        both.step(0.05)
        if updates(step):
            average.update_parameters(model)
        with both.updater.evaluated():
            found.append(both.network.w.copy())
        expected.append(np.concatenate([p.detach().numpy().ravel() for p in average.module]))
        path.append(both.network.w.copy())
    return np.array(found), np.array(expected), np.array(path)


def test_swa_is_the_average_of_torch() -> None:
    """In torch, the training loop decides which steps are averaged and what is evaluated before that."""
    found, expected, path = averaged(
        "swa",
        {"start": 20, "every": 3},
        swa_utils.AveragedModel,
        lambda step: step >= 20 and (step - 20) % 3 == 0,
    )
    np.testing.assert_allclose(found[19:], expected[19:], rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(found[:19], path[:19])


def test_ema_is_the_average_of_torch_without_the_first_weights() -> None:
    """torch's average starts as the first weights, which keep a share dᵗ; ``ema`` removes this share."""
    decay = 0.95
    found, expected, path = averaged(
        "ema",
        {"decay": decay},
        lambda model: swa_utils.AveragedModel(model, avg_fn=swa_utils.get_ema_avg_fn(decay)),
        bool,
    )
    powers = decay ** np.arange(1, STEPS + 1)[:, None]
    np.testing.assert_allclose(found, (expected - powers * path[0]) / (1 - powers), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("most", [0.5, 5.0, 500.0])
def test_clips_as_torch_does(most: float) -> None:
    """torch adds 1e-6 to the norm that it divides by, so its clipped gradients are slightly shorter."""
    utils = torch.nn.utils
    both = Both("sgd", {"clip_value": most / 4, "clip_norm": most}, lambda p: torch.optim.SGD(p))
    for _ in range(20):
        both.network.g[...], gradients = both.gradients()
        for parameter, gradient in zip(both.parameters, gradients, strict=True):
            parameter.grad = torch.tensor(gradient)
        utils.clip_grad_value_(both.parameters, most / 4)
        utils.clip_grad_norm_(both.parameters, most)
        for group in both.torch.param_groups:
            group["lr"] = 0.1
        both.updater.update(0.1)
        both.torch.step()
        np.testing.assert_allclose(both.network.w, both.theirs(), atol=20 * 0.1 * 1e-6)
