"""Schedules: closed forms at exact points, and what holds for every one of them."""

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
SPECS: list[Any] = [
    *SCHEDULES,
    {"name": "multistep", "milestones": []},
    {"name": "polynomial", "power": 0.3},
    {"name": "polynomial", "power": 50.0, "final": 1.0},
    {"name": "restarts", "period": 1, "multiplier": 1},
    {"name": "restarts", "period": 7, "multiplier": 3, "final": 0.1},
    {"name": "one_cycle", "start": 0.0, "peak": 1e-9, "final": 0.0},
    {"name": "one_cycle", "start": 1.0, "peak": 0.999999999, "final": 1.0},
    {"name": "cyclic", "start": 0.0, "steps": 1, "mode": "triangular2"},
    {"name": "cyclic", "steps": 3, "mode": "exp_range", "gamma": 0.1},
    {"name": "sequential", "parts": ["one_cycle", "restarts", "inverse_time"], "at": [1, 500]},
    {"name": "sequential", "parts": ["loss_ratio", "cosine", "loss_ratio"], "at": [10, 500]},
    {"name": "sequential", "parts": [{"name": "warmup", "steps": 50, "then": "plateau"}], "at": []},
]
"""Every schedule with its defaults, and some whose options are at their edges."""
CLIMBS = ("warmup", "inverse_sqrt", "one_cycle", "cyclic")
"""Those that begin below the rate that was asked for."""
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


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_is_finite_and_not_negative_over_a_run_and_at_its_edges(spec: Any) -> None:
    schedule: Schedule = registries["schedule"].create(spec)
    observed = iter(losses(TOTAL))
    for step in range(TOTAL + 1):  # the rate after the last update may be asked for, too
        factor = schedule.factor(step, TOTAL)
        assert type(factor) is float  # a NumPy scalar of float64 would widen a float32 update
        assert isfinite(factor)
        assert factor >= 0
        if schedule.observes != "nothing" and step % 10 == 0:
            schedule.observe(next(observed))
    for total in (0, 1, 2):
        for step in range(total + 1):
            factor = schedule.factor(step, total)
            assert type(factor) is float
            assert isfinite(factor)
            assert factor >= 0


@pytest.mark.parametrize("spec", [spec for spec in SPECS if "loss_ratio" not in str(spec)], ids=str)
def test_no_factor_is_above_one(spec: Any) -> None:
    schedule: Schedule = registries["schedule"].create(spec)
    for total in (1, 2, 3, 10, TOTAL):
        assert max(schedule.factors(0, total + 1, total)) <= 1


@pytest.mark.parametrize("name", SCHEDULES)
def test_starts_at_the_rate_that_was_asked_for(name: str) -> None:
    first = create(name).factor(0, TOTAL)
    assert 0 < first <= 1
    assert first == 1 or name in CLIMBS


@pytest.mark.parametrize("name", SCHEDULES)
def test_asking_changes_nothing(name: str) -> None:
    schedule = create(name)
    for value in losses(50) if schedule.observes != "nothing" else ():
        schedule.observe(value)
    forwards = [schedule.factor(step, TOTAL) for step in range(TOTAL)]
    backwards = [schedule.factor(step, TOTAL) for step in reversed(range(TOTAL))]
    assert forwards == backwards[::-1]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_factors_of_a_block_are_those_of_its_steps(spec: Any) -> None:
    schedule: Schedule = registries["schedule"].create(spec)
    for start, stop in ((0, 1), (3, 3), (0, TOTAL), (7, 650), (990, 1000), (990, 1001)):
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
    "spec", [*SPECS, *({"name": "warmup", "steps": 10, "then": name} for name in SCHEDULES)], ids=str
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


def test_multistep_falls_at_fractions_of_the_run() -> None:
    multistep = create("multistep", milestones=[0.5, 0.75], gamma=0.5)
    assert multistep.factors(0, 9, 8) == [1.0] * 4 + [0.5] * 2 + [0.25] * 3
    expected = {0: 1.0, 31_999: 1.0, 32_000: 0.1, 47_999: 0.1, 48_000: 0.01, 63_999: 0.01}  # the paper's
    assert {at: create("multistep").factor(at, 64_000) for at in expected} == pytest.approx(expected)


@pytest.mark.parametrize("total", [1, 3, 10, 30, 70, 1000, 12_345])
def test_multistep_falls_at_the_first_update_that_is_not_before_the_fraction(total: int) -> None:
    for percent in range(1, 100):
        milestone = float(f"0.{percent:02d}")
        multistep = create("multistep", milestones=[milestone], gamma=0.5)
        falls = ceil(Fraction(percent, 100) * total)  # exact, where the product of floats may be rounded up
        assert multistep.factor(falls - 1, total) == 1
        assert multistep.factor(falls, total) == 0.5


@pytest.mark.parametrize("steps", [1, 7, 1000])
def test_inverse_time(steps: int) -> None:
    schedule = create("inverse_time", steps=steps)
    for step in range(TOTAL):
        assert schedule.factor(step, TOTAL) == float(1 / (1 + Fraction(step, steps)))
    assert schedule.factor(steps, TOTAL) == 0.5
    assert schedule.factors(0, 50, 50) == schedule.factors(0, 50, TOTAL)


@pytest.mark.parametrize("warmup", [1, 10, 400])
@pytest.mark.parametrize("width", [64, 512])
def test_inverse_sqrt_is_the_paper_s_rate_over_its_peak(warmup: int, width: int) -> None:
    schedule = create("inverse_sqrt", warmup=warmup)
    t = np.arange(1, TOTAL + 1)
    paper = width**-0.5 * np.minimum(t**-0.5, t * warmup**-1.5)
    factors = np.array(schedule.factors(0, TOTAL, TOTAL))
    np.testing.assert_allclose(factors, paper / paper.max(), rtol=1e-13)
    assert factors.argmax() == warmup - 1
    assert factors.max() == 1


def test_polynomial() -> None:
    left = np.arange(TOTAL, -1, -1) / TOTAL
    line = create("polynomial", final=0.2).factors(0, TOTAL + 1, TOTAL)
    np.testing.assert_allclose(line, np.linspace(1, 0.2, TOTAL + 1), rtol=1e-14)
    cubic = create("polynomial", power=3.0).factors(0, TOTAL + 1, TOTAL)
    np.testing.assert_allclose(cubic, left * left * left, rtol=1e-10, atol=1e-16)
    root = create("polynomial", power=0.5).factors(0, TOTAL + 1, TOTAL)
    np.testing.assert_allclose(root, np.sqrt(left), rtol=1e-10, atol=1e-7)
    assert (line[-1], cubic[-1], root[-1]) == (pytest.approx(0.2), 0, 0)


@pytest.mark.parametrize(("period", "multiplier"), [(1, 1), (40, 1), (3, 2), (100, 2), (10, 3), (2000, 2)])
@pytest.mark.parametrize("final", [0.0, 0.25])
def test_restarts_are_cosines_one_after_another(period: int, multiplier: int, final: float) -> None:
    expected: list[float] = []
    length = period
    while len(expected) <= TOTAL:
        expected += [final + (1 - final) * np.cos(np.pi * t / 2 / length) ** 2 for t in range(length)]
        length *= multiplier
    restarts = create("restarts", period=period, multiplier=multiplier, final=final)
    factors = restarts.factors(0, TOTAL + 1, TOTAL)
    np.testing.assert_allclose(factors, expected[: TOTAL + 1], rtol=1e-12, atol=1e-15)


def test_restarts_begin_anew_at_the_sums_of_the_periods() -> None:
    factors = np.array(create("restarts", period=100, multiplier=2).factors(0, TOTAL, TOTAL))
    assert np.flatnonzero(factors == 1).tolist() == [0, 100, 300, 700]
    assert create("restarts", period=100, multiplier=2).factor(100 * (2**40 - 1), TOTAL) == 1


def test_one_period_that_is_the_whole_run_is_the_cosine() -> None:
    restarts, cosine = create("restarts", period=TOTAL, final=0.1), create("cosine", final=0.1)
    assert restarts.factors(0, TOTAL, TOTAL) == cosine.factors(0, TOTAL, TOTAL)


@pytest.mark.parametrize(("start", "peak", "final"), [(0.04, 0.3, 4e-6), (0.0, 0.5, 0.0), (1.0, 0.01, 0.5)])
def test_one_cycle(start: float, peak: float, final: float) -> None:
    done = np.arange(TOTAL + 1) / TOTAL
    climb = start + (1 - start) * np.sin(np.pi / 2 * done / peak) ** 2
    fall = final + (1 - final) * np.cos(np.pi / 2 * (done - peak) / (1 - peak)) ** 2
    schedule = create("one_cycle", start=start, peak=peak, final=final)
    factors = schedule.factors(0, TOTAL + 1, TOTAL)
    np.testing.assert_allclose(factors, np.where(done < peak, climb, fall), rtol=1e-12, atol=1e-15)
    ends = (schedule.factor(0, TOTAL), schedule.factor(round(peak * TOTAL), TOTAL), factors[-1])
    assert ends == pytest.approx((start, 1, final), abs=1e-15)


@pytest.mark.parametrize("steps", [1, 7, 100])
@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_cyclic(steps: int, mode: str) -> None:
    turns = np.arange(0, TOTAL + 2 * steps + 1, steps)
    wave = np.interp(np.arange(TOTAL + 1), turns, np.arange(len(turns)) % 2)  # 0, 1, 0, 1, … at the turns
    step = np.arange(TOTAL + 1)
    scale = {"triangular": 1, "triangular2": 0.5 ** (step // (2 * steps)), "exp_range": 0.99**step}[mode]
    schedule = create("cyclic", start=0.2, steps=steps, mode=mode, gamma=0.99)
    factors = schedule.factors(0, TOTAL + 1, TOTAL)
    np.testing.assert_allclose(factors, 0.2 + 0.8 * wave * scale, rtol=1e-12)


def test_cyclic_refuses_another_mode() -> None:
    with pytest.raises(UsageError, match="mode must be triangular, triangular2 or exp_range, not 'square'"):
        create("cyclic", mode="square")


# --- one after another -------------------------------------------------------------------------------


@pytest.mark.parametrize("first", SCHEDULES)
@pytest.mark.parametrize("last", ["constant", "exponential", "restarts"])
def test_sequential_is_each_part_by_itself(first: str, last: str) -> None:
    middle = {"name": "polynomial", "power": 2.0}
    sequential = create("sequential", parts=[first, middle, last], at=[200, 500])
    alone: list[float] = []
    for part, length in ((first, 200), (middle, 300), (last, 500)):
        alone += registries["schedule"].create(part).factors(0, length, length)
    assert sequential.factors(0, TOTAL, TOTAL) == alone
    assert [sequential.factor(step, TOTAL) for step in range(TOTAL)] == alone


def test_sequential_in_a_run_that_ends_before_its_parts() -> None:
    sequential = create("sequential", parts=["constant", "cosine", "polynomial"], at=[10, 30])
    cosine = create("cosine")
    assert sequential.factors(0, 20, 20) == [1.0] * 10 + [cosine.factor(step, 20) for step in range(10)]
    assert sequential.factors(29, 31, 30) == [cosine.factor(19, 20), 1.0]  # a last part of no length


@pytest.mark.parametrize("name", ["plateau", "loss_ratio"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_sequential_hands_losses_to_the_part_that_observes(name: str, place: int) -> None:
    parts = ["constant", "constant", "constant"]
    parts[place] = name
    sequential, alone = create("sequential", parts=parts, at=[100, 200]), create(name)
    assert (sequential.observes, sequential.window) == (alone.observes, alone.window)
    for value in losses(50):
        sequential.observe(value)
        alone.observe(value)
        expected = [1.0, 1.0, 1.0]
        expected[place] = alone.factor(0, 100)
        assert [sequential.factor(step, TOTAL) for step in (50, 150, 250)] == expected
    assert alone.factor(0, 100) < 1


def test_sequential_keeps_the_states_of_its_parts_apart() -> None:
    slow = {"name": "plateau", "patience": 9}
    parts = [{"name": "plateau", "patience": 0}, "constant", slow]
    first, second = (create("sequential", parts=parts, at=[100, 200]) for _ in range(2))
    for value in losses(40):
        first.observe(value)
    second.restore(json.loads(json.dumps(first.state())))
    assert second.state() == first.state()
    assert second.factor(0, TOTAL) < second.factor(250, TOTAL)
    assert [second.factor(at, TOTAL) for at in (0, 150, 250)] == [
        first.factor(at, TOTAL) for at in (0, 150, 250)
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": [], "at": []}, "at must have one number fewer than the 0 parts, not 0"),
        ({"parts": ["constant"], "at": [5]}, "at must have one number fewer than the 1 parts, not 1"),
        ({"parts": ["constant", "cosine"], "at": [0]}, "at must be at least 1, not 0"),
        ({"parts": ["constant"] * 3, "at": [5, 5]}, r"at must be in rising order, not \[5, 5\]"),
        ({"parts": ["constant", "cosin"], "at": [5]}, "no schedule 'cosin'; nearest: cosine"),
        ({"parts": ["plateau", "loss_ratio"], "at": [5]}, "epochs, or windows of the same length"),
        (
            {"parts": ["loss_ratio", {"name": "loss_ratio", "update_step": 7}], "at": [5]},
            "epochs, or windows of the same length",
        ),
    ],
)
def test_sequential_refuses_what_does_not_fit_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create("sequential", **options)


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
        ("multistep", "gamma", 0.0, "more than 0 and at most 1"),
        ("inverse_time", "steps", 0, "at least 1"),
        ("inverse_sqrt", "warmup", 0, "at least 1"),
        ("polynomial", "power", 0.0, "more than 0"),
        ("polynomial", "final", 1.1, "at least 0 and at most 1"),
        ("restarts", "period", 0, "at least 1"),
        ("restarts", "multiplier", 0, "at least 1"),
        ("restarts", "final", -0.1, "at least 0 and at most 1"),
        ("one_cycle", "start", 1.1, "at least 0 and at most 1"),
        ("one_cycle", "peak", 0.0, "more than 0 and less than 1"),
        ("one_cycle", "peak", 1.0, "more than 0 and less than 1"),
        ("one_cycle", "final", -0.1, "at least 0 and at most 1"),
        ("cyclic", "start", 1.1, "at least 0 and at most 1"),
        ("cyclic", "steps", 0, "at least 1"),
        ("cyclic", "gamma", 0.0, "more than 0 and at most 1"),
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


@pytest.mark.parametrize(
    ("milestones", "message"),
    [
        ([0.0, 0.5], "milestones must be more than 0 and less than 1, not 0.0"),
        ([0.5, 1.0], "milestones must be more than 0 and less than 1, not 1.0"),
        ([0.75, 0.5], r"milestones must be in rising order, not \[0.75, 0.5\]"),
        ([0.5, 0.5], "milestones must be in rising order"),
    ],
)
def test_multistep_refuses_milestones_outside_the_run_or_its_order(
    milestones: list[float], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        create("multistep", milestones=milestones)
