"""Schedules: closed forms at exact points, and options at the edges of their ranges."""

from __future__ import annotations

import json
from fractions import Fraction
from math import ceil, inf, isfinite, nan, sqrt
from typing import Any

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import Schedule, UsageError

SCHEDULES = registries["schedule"].names()
TOTAL = 1000
STEPS = np.arange(TOTAL + 1)


def create(name: str, **options: Any) -> Schedule:
    schedule: Schedule = registries["schedule"].create(name, **options)
    return schedule


def factors(name: str, **options: Any) -> list[float]:
    """The factors of all steps of a run of ``TOTAL`` steps, and then the factor after its last step."""
    return list(create(name, **options).factors(0, TOTAL + 1, TOTAL))


def losses(n: int, seed: int = 0) -> list[float]:
    """Noisy losses that fall and then stay level, so that every schedule that observes the loss reacts."""
    noise = np.random.default_rng(seed).uniform(0.9, 1.1, n)
    return [float(value) for value in np.maximum(np.exp(-np.arange(n) / 10), 0.2) * noise]


def follow(schedule: Schedule, observed: list[float]) -> list[float]:
    """Let a schedule observe losses, one after another. Returns its factor after each loss."""
    after = []
    for value in observed:
        schedule.observe(value)
        after.append(schedule.factor(0, TOTAL))
    return after


@pytest.mark.parametrize(
    "spec",
    [
        *SCHEDULES,
        {"name": "multistep", "milestones": []},
        {"name": "polynomial", "power": 50.0, "final": 1.0},
        {"name": "restarts", "period": 1, "multiplier": 1},
        {"name": "one_cycle", "start": 0.0, "peak": 1e-9, "final": 0.0},
        {"name": "one_cycle", "start": 1.0, "peak": 0.999999999, "final": 1.0},
        {"name": "cyclic", "start": 0.0, "steps": 1, "mode": "triangular2"},
        {"name": "sequential", "parts": ["one_cycle", "restarts", "inverse_time"], "at": [1, 500]},
        {"name": "sequential", "parts": ["loss_ratio", "cosine", "loss_ratio"], "at": [10, 500]},
        {"name": "sequential", "parts": [{"name": "warmup", "steps": 50, "then": "plateau"}], "at": []},
    ],
    ids=str,
)
def test_factors_are_from_0_to_1_and_factors_of_a_block_are_the_factors_of_its_steps(spec: Any) -> None:
    schedule: Schedule = registries["schedule"].create(spec)
    for total in (0, 1, 2, 3, TOTAL):
        steps = [schedule.factor(step, total) for step in range(total + 1)]
        assert all(type(factor) is float and isfinite(factor) for factor in steps)
        assert min(steps) >= 0
        assert max(steps) <= 1
        assert list(schedule.factors(0, total + 1, total)) == steps
    assert list(schedule.factors(7, 650, TOTAL)) == steps[7:650]


# --- closed forms ------------------------------------------------------------------------------------


def test_step_falls_at_multiples() -> None:
    step = create("step", every=100, gamma=0.5)
    expected = {0: 1.0, 99: 1.0, 100: 0.5, 199: 0.5, 200: 0.25, 999: 0.5**9}
    assert {at: step.factor(at, TOTAL) for at in expected} == expected
    assert factors("constant") == [1.0] * (TOTAL + 1)


def test_exponential_falls_by_the_same_ratio_at_every_step() -> None:
    np.testing.assert_allclose(factors("exponential", final=0.01), 0.01 ** (STEPS / TOTAL), rtol=1e-12)


def test_cosine_and_restarts_with_one_period_for_the_whole_run() -> None:
    # cos x = 1 − 2 sin²(x/2)
    wave = 1 - np.sin(np.pi * STEPS / 2000) ** 2
    np.testing.assert_allclose(factors("cosine", final=0.1), 0.1 + 0.9 * wave, atol=1e-15)
    assert factors("restarts", period=TOTAL, final=0.1)[:-1] == factors("cosine", final=0.1)[:-1]
    assert create("cosine").factor(750, TOTAL) == pytest.approx(0.5 - sqrt(0.5) / 2, rel=1e-14)
    assert create("cosine").factor(TOTAL, TOTAL) == 0


@pytest.mark.parametrize("total", [1, 3, 10, 30, 1000, 12_345])
def test_multistep_falls_at_the_first_step_that_is_not_before_the_fraction(total: int) -> None:
    for percent in range(1, 100):
        multistep = create("multistep", milestones=[float(f"0.{percent:02d}")], gamma=0.5)
        falls = ceil(Fraction(percent, 100) * total)  # exact; a product of floats may be rounded up
        assert [multistep.factor(step, total) for step in (falls - 1, falls)] == [1, 0.5]


def test_multistep_falls_by_default_at_the_residual_networks_paper_s_steps() -> None:
    expected = {0: 1.0, 31_999: 1.0, 32_000: 0.1, 47_999: 0.1, 48_000: 0.01, 63_999: 0.01}
    assert {at: create("multistep").factor(at, 64_000) for at in expected} == pytest.approx(expected)


@pytest.mark.parametrize("steps", [1, 7, 1000])
def test_inverse_time(steps: int) -> None:
    assert factors("inverse_time", steps=steps) == [float(1 / (1 + Fraction(int(t), steps))) for t in STEPS]


@pytest.mark.parametrize("warmup", [1, 10, 400])
def test_inverse_sqrt_is_the_transformer_paper_s_rate_over_its_peak(warmup: int) -> None:
    t = STEPS + 1.0
    paper = 512**-0.5 * np.minimum(t**-0.5, t * warmup**-1.5)
    rates = np.array(factors("inverse_sqrt", warmup=warmup))
    np.testing.assert_allclose(rates, paper / paper.max(), rtol=1e-13)
    assert (rates.argmax(), rates.max()) == (warmup - 1, 1)


def test_polynomial() -> None:
    left = 1 - STEPS / TOTAL
    np.testing.assert_allclose(factors("polynomial", final=0.2), 0.2 + 0.8 * left, rtol=1e-14)
    np.testing.assert_allclose(factors("polynomial", power=3.0), left * left * left, rtol=1e-10, atol=1e-16)
    np.testing.assert_allclose(factors("polynomial", power=0.5), np.sqrt(left), rtol=1e-10, atol=1e-7)


@pytest.mark.parametrize(("period", "multiplier"), [(1, 1), (40, 1), (3, 2), (100, 2), (10, 3), (2000, 2)])
def test_restarts_are_cosines_one_after_another(period: int, multiplier: int) -> None:
    expected: list[float] = []
    length = period
    while len(expected) <= TOTAL:
        expected += [0.25 + 0.75 * np.cos(np.pi * t / 2 / length) ** 2 for t in range(length)]
        length *= multiplier
    rates = factors("restarts", period=period, multiplier=multiplier, final=0.25)
    np.testing.assert_allclose(rates, expected[: TOTAL + 1], rtol=1e-12, atol=1e-15)


def test_restarts_find_their_period_far_away() -> None:
    assert create("restarts", period=100, multiplier=2).factor(100 * (2**40 - 1), TOTAL) == 1


@pytest.mark.parametrize(("start", "peak", "final"), [(0.04, 0.3, 4e-6), (0.0, 0.5, 0.0), (1.0, 0.01, 0.5)])
def test_one_cycle(start: float, peak: float, final: float) -> None:
    done = STEPS / TOTAL
    climb = start + (1 - start) * np.sin(np.pi / 2 * done / peak) ** 2
    fall = final + (1 - final) * np.cos(np.pi / 2 * (done - peak) / (1 - peak)) ** 2
    rates = factors("one_cycle", start=start, peak=peak, final=final)
    np.testing.assert_allclose(rates, np.where(done < peak, climb, fall), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("steps", [1, 7, 100])
@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_cyclic(steps: int, mode: str) -> None:
    turns = np.arange(0, TOTAL + 2 * steps + 1, steps)
    wave = np.interp(STEPS, turns, np.arange(len(turns)) % 2)  # alternates between 0 and 1
    scale = {"triangular": 1, "triangular2": 0.5 ** (STEPS // (2 * steps)), "exp_range": 0.99**STEPS}[mode]
    rates = factors("cyclic", start=0.2, steps=steps, mode=mode, gamma=0.99)
    np.testing.assert_allclose(rates, 0.2 + 0.8 * wave * scale, rtol=1e-12)


# --- schedules that contain other schedules ----------------------------------------------------------


@pytest.mark.parametrize("first", SCHEDULES)
def test_sequential_is_each_part_by_itself(first: str) -> None:
    parts = [first, {"name": "polynomial", "power": 2.0}, "exponential"]
    sequential = create("sequential", parts=parts, at=[200, 500])
    alone: list[float] = []
    for part, length in zip(parts, (200, 300, 500), strict=True):
        alone += registries["schedule"].create(part).factors(0, length, length)
    assert sequential.factors(0, TOTAL, TOTAL) == alone


def test_sequential_in_a_run_that_ends_before_its_parts() -> None:
    sequential, cosine = create("sequential", parts=["constant", "cosine"], at=[10]), create("cosine")
    assert sequential.factors(0, 20, 20) == [1.0] * 10 + [cosine.factor(step, 10) for step in range(10)]
    assert sequential.factors(9, 11, 10) == [1.0, 1.0]  # the last part has no steps


@pytest.mark.parametrize("name", ["plateau", "loss_ratio"])
def test_sequential_hands_losses_to_the_part_that_observes(name: str) -> None:
    sequential, alone = create("sequential", parts=["constant", name], at=[100]), create(name)
    assert (sequential.observes, sequential.window) == (alone.observes, alone.window)
    for value in losses(50):
        sequential.observe(value)
        alone.observe(value)
        assert [sequential.factor(step, TOTAL) for step in (50, 150)] == [1.0, alone.factor(0, 100)]
    assert alone.factor(0, 100) < 1


def test_sequential_keeps_the_states_of_its_parts_apart() -> None:
    parts = [{"name": "plateau", "patience": 0}, "constant", {"name": "plateau", "patience": 9}]
    first, second = (create("sequential", parts=parts, at=[100, 200]) for _ in range(2))
    follow(first, losses(40))
    second.restore(json.loads(json.dumps(first.state())))
    assert second.state() == first.state()
    assert second.factor(0, TOTAL) == first.factor(0, TOTAL) < second.factor(250, TOTAL)


@pytest.mark.parametrize("name", SCHEDULES)
def test_warmup_climbs_by_equal_steps_and_hands_over_to_any_schedule(name: str) -> None:
    warmup, then = create("warmup", steps=100, then=name), create(name)
    assert (warmup.observes, warmup.window) == (then.observes, then.window)
    for _ in range(2):
        climb = np.arange(1, 101) / 100 * then.factor(0, TOTAL - 100)
        np.testing.assert_allclose(warmup.factors(0, 100, TOTAL), climb, rtol=1e-15)
        afterwards = list(warmup.factors(100, TOTAL, TOTAL))
        assert afterwards == list(then.factors(0, TOTAL - 100, TOTAL - 100))
        for value in losses(50):  # warmup passes losses to the schedule
            warmup.observe(value)
            then.observe(value)
        assert warmup.state() == then.state()


def test_warmup_may_be_longer_than_the_run() -> None:
    assert create("warmup", steps=100, then="cosine").factors(0, 50, 50) == [n / 100 for n in range(1, 51)]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sequential", {"parts": [], "at": []}, "at must have one number fewer than the 0 parts, not 0"),
        ("sequential", {"parts": ["constant", "cosine"], "at": [0]}, "at must be at least 1, not 0"),
        ("sequential", {"parts": ["constant"] * 3, "at": [5, 5]}, r"in rising order, not \[5, 5\]"),
        ("sequential", {"parts": ["constant", "cosin"], "at": [5]}, "no schedule 'cosin'; nearest: cosine"),
        (
            "sequential",
            {"parts": ["plateau", "loss_ratio"], "at": [5]},
            "epochs, or windows of the same length",
        ),
        ("warmup", {"then": {"name": "cosine", "final": -1.0}}, "final must be at least 0"),
        ("multistep", {"milestones": [0.0, 0.5]}, "milestones must be more than 0 and less than 1, not 0.0"),
        ("multistep", {"milestones": [0.5, 0.5]}, r"milestones must be in rising order, not \[0.5, 0.5\]"),
        ("cyclic", {"mode": "square"}, "mode must be triangular, triangular2 or exp_range, not 'square'"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        create(name, **options)


# --- schedules that observe the loss -----------------------------------------------------------------


def plateau_by_hand(
    observed: list[float], gamma: float, patience: int, threshold: float, minimum: float
) -> list[float]:
    """The factor after each loss, each time computed anew from all losses so far, without running state."""
    after = []
    for n in range(1, len(observed) + 1):
        best, since, factor = None, 0, 1.0
        for value in observed[:n]:
            improved = best is None or value < best - threshold * best
            best = value if improved else best
            since = 0 if improved else since + 1
            if since == patience + 1:
                factor, since = max(minimum, gamma * factor), 0
        after.append(factor)
    return after


@pytest.mark.parametrize("patience", [0, 1, 5])
@pytest.mark.parametrize(
    ("gamma", "minimum", "threshold"), [(0.1, 0.0, 0.0), (0.5, 0.2, 1e-4), (0.9, 1.0, 0.05)]
)
def test_plateau(patience: int, gamma: float, minimum: float, threshold: float) -> None:
    options = {"patience": patience, "gamma": gamma, "minimum": minimum, "threshold": threshold}
    for seed in range(5):
        observed = losses(80, seed)
        after = follow(create("plateau", **options), observed)
        assert after == pytest.approx(plateau_by_hand(observed, gamma, patience, threshold, minimum))
        assert minimum == 1 or after[-1] < 1


def test_plateau_counts_losses_that_are_not_finite_as_no_improvement() -> None:
    assert follow(create("plateau", patience=1, gamma=0.5), [nan, inf, -inf]) == [1.0, 0.5, 0.5]


def test_the_factor_of_loss_ratio_is_the_loss_over_the_first_loss() -> None:
    observed = losses(200)
    np.testing.assert_allclose(
        follow(create("loss_ratio"), observed), np.array(observed) / observed[0], rtol=1e-13
    )
    assert create("loss_ratio", update_step=1000).window == 1000


def test_loss_ratio_skips_losses_that_have_no_ratio() -> None:
    assert follow(create("loss_ratio"), [0.0, 2.0, 1.0]) == [1.0, 1.0, 0.5]
    assert follow(create("loss_ratio"), [2.0, 0.0, 2.0]) == [1.0, 0.0, 0.0]
    assert follow(create("loss_ratio"), [2.0, nan, inf, -1.0, 1.0]) == [1.0, 1.0, 1.0, 1.0, 0.5]
