"""Schedules: closed forms at exact points, and what holds for every one of them."""

from __future__ import annotations

import json
from math import inf, isfinite, nan, sqrt
from typing import Any

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import Schedule, UsageError

SCHEDULES = registries["schedule"].names()
TOTAL = 1000


def create(name: str, **options: Any) -> Schedule:
    made: Schedule = registries["schedule"].create(name, **options)
    return made


def losses(n: int, seed: int = 0) -> list[float]:
    """Noisy losses that fall, then stay: every reactive schedule has something to react to."""
    noise = np.random.default_rng(seed).uniform(0.9, 1.1, n)
    return [float(value) for value in np.maximum(np.exp(-np.arange(n) / 10), 0.2) * noise]


def follow(schedule: Schedule, observed: list[float]) -> list[float]:
    """The factor after each observation."""
    factors = []
    for value in observed:
        schedule.observe(value)
        factors.append(schedule.factor(0, TOTAL))
    return factors


# --- what holds for every schedule -------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULES)
def test_is_finite_and_not_negative_over_a_run_and_at_its_edges(name: str) -> None:
    schedule = create(name)
    observed = iter(losses(TOTAL))
    for step in range(TOTAL + 1):  # the rate after the last update may be asked for, too
        factor = schedule.factor(step, TOTAL)
        assert type(factor) is float  # a NumPy scalar of float64 would widen a float32 update
        assert isfinite(factor)
        assert factor >= 0
        if schedule.observes != "nothing" and step % 10 == 0:
            schedule.observe(next(observed))
    for total in (0, 1, 2):
        assert isfinite(schedule.factor(total, total))


@pytest.mark.parametrize("name", SCHEDULES)
def test_starts_at_the_rate_that_was_asked_for(name: str) -> None:
    first = create(name).factor(0, TOTAL)
    assert 0 < first <= 1
    assert first == 1 or name == "warmup"


@pytest.mark.parametrize("name", SCHEDULES)
def test_asking_changes_nothing(name: str) -> None:
    schedule = create(name)
    for value in losses(50) if schedule.observes != "nothing" else ():
        schedule.observe(value)
    forwards = [schedule.factor(step, TOTAL) for step in range(TOTAL)]
    backwards = [schedule.factor(step, TOTAL) for step in reversed(range(TOTAL))]
    assert forwards == backwards[::-1]


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_of_a_block_are_those_of_its_steps(name: str) -> None:
    schedule = create(name)
    for start, stop in ((0, 1), (3, 3), (0, TOTAL), (990, 1000)):
        expected = [schedule.factor(step, TOTAL) for step in range(start, stop)]
        assert list(schedule.factors(start, stop, TOTAL)) == expected


@pytest.mark.parametrize("name", SCHEDULES)
def test_only_what_observes_reacts_and_has_a_state(name: str) -> None:
    schedule = create(name)
    reactive = schedule.observes != "nothing"
    before = [schedule.factor(step, TOTAL) for step in range(TOTAL)]
    for value in [1.0, *losses(50)]:
        schedule.observe(value)
    after = [schedule.factor(step, TOTAL) for step in range(TOTAL)]
    assert (before != after) == reactive
    assert bool(schedule.state()) == reactive
    assert (schedule.window > 0) == (schedule.observes == "window")


@pytest.mark.parametrize("seen", [0, 1, 2, 7, 23, 40])
@pytest.mark.parametrize(
    "spec", [*SCHEDULES, *({"name": "warmup", "steps": 10, "then": name} for name in SCHEDULES)], ids=str
)
def test_continues_from_its_state_written_as_json(spec: Any, seen: int) -> None:
    first, second = (registries["schedule"].create(spec) for _ in range(2))
    observed = losses(60)
    follow(first, observed[:seen])
    second.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
    assert second.state() == first.state()
    assert second.factor(0, TOTAL) == first.factor(0, TOTAL)
    assert follow(second, observed[seen:]) == follow(first, observed[seen:])


@pytest.mark.parametrize("name", SCHEDULES)
def test_stays_finite_whatever_is_observed(name: str) -> None:
    schedule = create(name)
    for value in (nan, inf, 1.0, nan, -inf, 0.0, 0.0, inf, -1.0, 2.0):
        schedule.observe(value)
        factor = schedule.factor(5, TOTAL)
        assert isfinite(factor)
        assert factor >= 0
        json.dumps(schedule.state(), allow_nan=False)


# --- closed forms ------------------------------------------------------------------------------------


def test_constant() -> None:
    assert create("constant").factors(5, 8, TOTAL) == [1.0, 1.0, 1.0]


def test_step_falls_at_multiples() -> None:
    step = create("step", every=100, gamma=0.5)
    expected = {0: 1.0, 99: 1.0, 100: 0.5, 199: 0.5, 200: 0.25, 999: 0.5**9}
    assert {at: step.factor(at, TOTAL) for at in expected} == expected


def test_exponential_falls_to_the_final_fraction_at_the_end() -> None:
    schedule = create("exponential", final=0.01)
    assert schedule.factor(0, TOTAL) == 1
    assert schedule.factor(TOTAL // 2, TOTAL) == pytest.approx(0.1)
    assert schedule.factor(TOTAL, TOTAL) == pytest.approx(0.01)
    factors = schedule.factors(0, TOTAL, TOTAL)
    ratios = np.array(factors[1:]) / factors[:-1]
    np.testing.assert_allclose(ratios, 0.01 ** (1 / TOTAL), rtol=1e-12)  # by the same ratio at every step


def test_cosine() -> None:
    cosine = create("cosine", final=0.1)
    exact = {0: 1.0, 250: 0.5 + sqrt(0.5) / 2, 500: 0.5, 750: 0.5 - sqrt(0.5) / 2, 1000: 0.0}
    for step, wave in exact.items():
        assert cosine.factor(step, TOTAL) == pytest.approx(0.1 + 0.9 * wave, rel=1e-14)
    assert create("cosine").factor(TOTAL, TOTAL) == 0
    # cos x = 1 − 2 sin²(x/2), and the fall is symmetric about the middle
    factors = np.array(create("cosine").factors(0, TOTAL + 1, TOTAL))
    np.testing.assert_allclose(factors, 1 - np.sin(np.pi * np.arange(TOTAL + 1) / 2000) ** 2, atol=1e-15)
    np.testing.assert_allclose(factors + factors[::-1], 1, rtol=1e-15)


# --- warm-up -----------------------------------------------------------------------------------------


def test_warmup_climbs_linearly_to_the_rate() -> None:
    warmup = create("warmup", steps=4)
    assert warmup.factors(0, 7, TOTAL) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", SCHEDULES)
def test_warmup_hands_over_to_any_schedule(name: str) -> None:
    warmup, then = create("warmup", steps=100, then=name), create(name)
    assert (warmup.observes, warmup.window) == (then.observes, then.window)
    for _ in range(2):
        first = then.factor(0, TOTAL - 100)
        climb = warmup.factors(0, 100, TOTAL)
        np.testing.assert_allclose(climb, np.arange(1, 101) / 100 * first, rtol=1e-15)
        rest = list(warmup.factors(100, TOTAL, TOTAL))
        assert rest == list(then.factors(0, TOTAL - 100, TOTAL - 100))
        for value in losses(50):  # it observes through the warm-up
            warmup.observe(value)
            then.observe(value)
        assert warmup.state() == then.state()


def test_warmup_hands_options_on() -> None:
    warmup = create("warmup", steps=10, then={"name": "loss_ratio", "update_step": 7})
    assert (warmup.observes, warmup.window) == ("window", 7)
    nested = create("warmup", steps=2, then={"name": "warmup", "steps": 2, "then": "constant"})
    assert nested.factors(0, 5, TOTAL) == [0.25, 0.5, 0.5, 1.0, 1.0]


def test_warmup_may_be_longer_than_the_run() -> None:
    warmup = create("warmup", steps=100, then="cosine")
    assert warmup.factors(0, 50, 50) == [step / 100 for step in range(1, 51)]


def test_warmup_refuses_what_is_no_schedule() -> None:
    with pytest.raises(UsageError, match="no schedule 'cosin'; nearest: cosine"):
        create("warmup", then="cosin")
    with pytest.raises(UsageError, match="final must be at least 0"):
        create("warmup", then={"name": "cosine", "final": -1.0})


# --- reactive schedules ------------------------------------------------------------------------------


def plateau_by_hand(
    observed: list[float], gamma: float, patience: int, threshold: float, minimum: float
) -> list[float]:
    """Every factor worked out anew from the whole history, without any running state."""
    factors = []
    for n in range(1, len(observed) + 1):
        best, since, factor = None, 0, 1.0
        for value in observed[:n]:
            improved = best is None or value < best - threshold * best
            best = value if improved else best
            since = 0 if improved else since + 1
            if since == patience + 1:
                factor, since = max(minimum, gamma * factor), 0
        factors.append(factor)
    return factors


@pytest.mark.parametrize("patience", [0, 1, 5])
@pytest.mark.parametrize(("gamma", "minimum"), [(0.1, 0.0), (0.5, 0.2), (0.9, 1.0)])
@pytest.mark.parametrize("threshold", [0.0, 1e-4, 0.05])
def test_plateau(patience: int, gamma: float, minimum: float, threshold: float) -> None:
    options = {"patience": patience, "gamma": gamma, "minimum": minimum, "threshold": threshold}
    for seed in range(5):
        observed = losses(80, seed)
        factors = follow(create("plateau", **options), observed)
        assert factors == pytest.approx(plateau_by_hand(observed, gamma, patience, threshold, minimum))
        assert minimum == 1 or factors[-1] < 1


def test_plateau_lets_so_many_epochs_pass() -> None:
    plateau = create("plateau", patience=2, gamma=0.5)
    # the first is the best; then 2 without an improvement are let pass, the 3rd lowers the rate
    assert follow(plateau, [1.0] * 8) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]
    # an improvement starts the count anew; one that is smaller than the threshold does not
    assert follow(plateau, [0.5, 0.5, 0.49999, 0.4, 0.4, 0.4, 0.4]) == [0.25] * 6 + [0.125]


def test_plateau_takes_losses_that_are_not_finite_for_no_improvement() -> None:
    assert follow(create("plateau", patience=1, gamma=0.5), [nan, inf, -inf]) == [1.0, 0.5, 0.5]


def test_loss_ratio_telescopes() -> None:
    ratio = create("loss_ratio")
    observed = losses(200)
    factors = follow(ratio, observed)
    assert factors[0] == 1  # the first window has none before it
    np.testing.assert_allclose(factors, np.array(observed) / observed[0], rtol=1e-13)


def test_loss_ratio_multiplies_by_the_ratio_after_each_window() -> None:
    factors = follow(create("loss_ratio"), [2.0, 1.0, 3.0, 0.75])
    assert factors == [1.0, 0.5, 1.5, 0.375]  # × 1/2, × 3, × 1/4


def test_loss_ratio_keeps_the_factor_after_a_window_without_loss() -> None:
    assert follow(create("loss_ratio"), [0.0, 2.0, 1.0]) == [1.0, 1.0, 0.5]
    assert follow(create("loss_ratio"), [2.0, 0.0, 2.0]) == [1.0, 0.0, 0.0]


def test_loss_ratio_passes_over_what_has_no_ratio() -> None:
    assert follow(create("loss_ratio"), [2.0, nan, inf, -1.0, 1.0]) == [1.0, 1.0, 1.0, 1.0, 0.5]


def test_loss_ratio_observes_windows_of_its_own_length() -> None:
    assert create("loss_ratio").window == 100
    assert create("loss_ratio", update_step=1000).window == 1000


@pytest.mark.parametrize(
    ("name", "option", "value", "bounds"),
    [
        ("step", "every", 0, "at least 1"),
        ("step", "gamma", 0.0, "more than 0 and at most 1"),
        ("step", "gamma", 1.1, "more than 0 and at most 1"),
        ("exponential", "final", 0.0, "more than 0 and at most 1"),
        ("exponential", "final", 1.5, "more than 0 and at most 1"),
        ("cosine", "final", -0.1, "at least 0 and at most 1"),
        ("cosine", "final", 1.5, "at least 0 and at most 1"),
        ("warmup", "steps", 0, "at least 1"),
        ("plateau", "gamma", 0.0, "more than 0 and less than 1"),
        ("plateau", "gamma", 1.0, "more than 0 and less than 1"),
        ("plateau", "patience", -1, "at least 0"),
        ("plateau", "threshold", -1e-4, "at least 0 and less than 1"),
        ("plateau", "threshold", 1.0, "at least 0 and less than 1"),
        ("plateau", "minimum", -0.1, "at least 0 and at most 1"),
        ("plateau", "minimum", 1.1, "at least 0 and at most 1"),
        ("loss_ratio", "update_step", 0, "at least 1"),
    ],
)
def test_refuses_options_out_of_range(name: str, option: str, value: float, bounds: str) -> None:
    with pytest.raises(UsageError, match=f"{name}.*{option} must be {bounds}, not {value:g}"):
        create(name, **{option: value})
