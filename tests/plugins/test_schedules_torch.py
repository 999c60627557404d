"""Schedules against those schedules of torch.optim.lr_scheduler that have the same formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlpframe import registries

torch = pytest.importorskip("torch")
lr_scheduler = torch.optim.lr_scheduler

STEPS = 300


def rates_of_torch(make: Callable[[Any], Any], steps: int = STEPS) -> list[float]:
    """The learning rate of every step under a PyTorch schedule, for an optimizer with learning rate 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


def assert_alike(spec: dict[str, Any], make: Callable[[Any], Any], total: int = STEPS) -> None:
    ours = registries["schedule"].create(spec).factors(0, STEPS, total)
    np.testing.assert_allclose(ours, rates_of_torch(make), rtol=1e-9, atol=1e-12)


def test_step() -> None:
    assert_alike({"name": "step", "every": 70, "gamma": 0.3}, lambda o: lr_scheduler.StepLR(o, 70, gamma=0.3))


def test_multistep_with_milestones_in_updates() -> None:
    """PyTorch's milestones are updates; mlpframe's are fractions of the run."""
    assert_alike(
        {"name": "multistep", "milestones": [0.3, 0.31, 0.9], "gamma": 0.3},
        lambda o: lr_scheduler.MultiStepLR(o, [90, 93, 270], gamma=0.3),
    )


def test_exponential_with_a_ratio_for_each_step() -> None:
    """PyTorch takes the ratio of two steps, mlpframe the fraction that is left at the end of the run."""
    assert_alike(
        {"name": "exponential", "final": 0.01}, lambda o: lr_scheduler.ExponentialLR(o, 0.01 ** (1 / STEPS))
    )


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_polynomial_to_zero(power: float) -> None:
    """PyTorch's schedule always ends at 0, so mlpframe's ``final`` is 0 here."""
    assert_alike(
        {"name": "polynomial", "power": power}, lambda o: lr_scheduler.PolynomialLR(o, STEPS, power=power)
    )


def test_cosine() -> None:
    assert_alike(
        {"name": "cosine", "final": 0.1}, lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.1)
    )


@pytest.mark.parametrize(("period", "multiplier"), [(70, 1), (20, 2), (7, 3)])
def test_restarts(period: int, multiplier: int) -> None:
    assert_alike(
        {"name": "restarts", "period": period, "multiplier": multiplier, "final": 0.1},
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, period, multiplier, eta_min=0.1),
    )


@pytest.mark.parametrize("peak", [0.1, 0.3, 0.5])
def test_one_cycle_whose_last_update_is_the_end(peak: float) -> None:
    """PyTorch's schedule equals mlpframe's schedule for a run that is one update shorter.

    PyTorch reaches the final rate at the last update, mlpframe after the last update. PyTorch's peak is at
    pct_start · total_steps − 1, and its final rate is given as a fraction of its first rate.
    """
    last = STEPS - 1
    assert_alike(
        {"name": "one_cycle", "start": 0.05, "peak": (peak * STEPS - 1) / last, "final": 0.05 / 1e3},
        lambda o: lr_scheduler.OneCycleLR(
            o,
            max_lr=1.0,
            total_steps=STEPS,
            pct_start=peak,
            div_factor=20,
            final_div_factor=1e3,
            cycle_momentum=False,
        ),
        total=last,
    )


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_cyclic(mode: str) -> None:
    assert_alike(
        {"name": "cyclic", "start": 0.1, "steps": 23, "mode": mode, "gamma": 0.99},
        lambda o: lr_scheduler.CyclicLR(
            o, base_lr=0.1, max_lr=1.0, step_size_up=23, mode=mode, gamma=0.99, cycle_momentum=False
        ),
    )


def test_warmup_and_sequential() -> None:
    """LinearLR that starts at 1/n climbs like warmup; SequentialLR begins each part at the part's step 0."""

    def make(optimizer: Any) -> Any:
        climb = lr_scheduler.LinearLR(optimizer, start_factor=1 / 50, total_iters=49)
        cosine = lr_scheduler.CosineAnnealingLR(optimizer, STEPS - 50)
        return lr_scheduler.SequentialLR(optimizer, [climb, cosine], milestones=[50])

    assert_alike({"name": "warmup", "steps": 50, "then": "cosine"}, make)
    parts = [{"name": "warmup", "steps": 50}, "cosine"]
    assert_alike({"name": "sequential", "parts": parts, "at": [50]}, make)


@pytest.mark.parametrize("patience", [0, 3])
def test_plateau(patience: int) -> None:
    losses = np.random.default_rng(0).uniform(0.9, 1.1, 80) * np.exp(-np.arange(80) / 30)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=patience, min_lr=0.01, eps=0)
    ours = registries["schedule"].create("plateau", gamma=0.5, patience=patience, minimum=0.01)
    for loss in losses.tolist():
        theirs.step(loss)
        ours.observe(loss)
        assert ours.factor(0, STEPS) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
    assert ours.factor(0, STEPS) < 1
