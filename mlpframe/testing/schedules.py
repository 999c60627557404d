"""Checks of every schedule."""

from __future__ import annotations

import json
from math import isfinite

import numpy as np

from ..api import Schedule
from .components import exercise
from .kit import Subject, check, require

TOTAL = 1000


def losses(n: int, seed: int = 0) -> list[float]:
    """Noisy losses that first fall and then stay level, so that every schedule that observes them reacts."""
    noise = np.random.default_rng(seed).uniform(0.9, 1.1, n)
    return [float(value) for value in np.maximum(np.exp(-np.arange(n) / 10), 0.2) * noise]


def factors(schedule: Schedule, total: int = TOTAL) -> list[float]:
    return [schedule.factor(step, total) for step in range(total)]


@exercise("schedule")
def use(subject: Subject) -> None:
    schedule = subject.create()
    for value in losses(5):
        schedule.observe(value)
        schedule.factors(0, 10, TOTAL)


def _require_rate(factor: float, where: str) -> None:
    require(type(factor) is float, f"the factor {where} is a {type(factor).__name__}, not a Python float")
    require(isfinite(factor) and factor >= 0, f"the factor {where} is {factor}")


@check("schedule")
def factors_are_finite_and_not_negative(subject: Subject) -> None:
    """Every factor is finite and ≥ 0: in a run, after its end, and in runs of 0, 1 and 2 steps."""
    schedule = subject.create()
    observed = iter(losses(TOTAL))
    for step in range(TOTAL + 1):
        _require_rate(schedule.factor(step, TOTAL), f"at step {step} of {TOTAL}")
        if schedule.observes != "nothing" and step % 10 == 0:
            schedule.observe(next(observed))
    for total in (0, 1, 2):
        for step in range(total + 1):
            _require_rate(schedule.factor(step, total), f"at step {step} of {total}")


@check("schedule")
def factors_do_not_depend_on_earlier_calls(subject: Subject) -> None:
    """The factor of a step does not depend on earlier calls for this step or for other steps."""
    schedule = subject.create()
    for value in losses(50) if schedule.observes != "nothing" else ():
        schedule.observe(value)
    forwards = factors(schedule)
    backwards = [schedule.factor(step, TOTAL) for step in reversed(range(TOTAL))][::-1]
    for step, (first_factor, second_factor) in enumerate(zip(forwards, backwards, strict=True)):
        require(
            first_factor == second_factor,
            f"the factor at step {step} is first {first_factor}, then {second_factor}",
        )
    schedule.factor(3, 10)
    require(
        factors(schedule) == forwards,
        "the factors differ after factors of a run of another length were asked for",
    )


@check("schedule")
def factors_equal_the_factor_of_each_step(subject: Subject) -> None:
    """``factors(start, stop, total)`` equals ``factor`` of every step from start to stop − 1."""
    schedule = subject.create()
    for start, stop in ((0, 1), (3, 3), (0, TOTAL), (990, 1000), (7, 500)):
        expected = [schedule.factor(step, TOTAL) for step in range(start, stop)]
        block = list(schedule.factors(start, stop, TOTAL))
        require(
            len(block) == len(expected),
            f"factors({start}, {stop}, …) returns {len(block)} numbers for {stop - start} steps",
        )
        for step, (first_factor, second_factor) in enumerate(zip(block, expected, strict=True), start):
            require(
                first_factor == second_factor,
                f"at step {step}, factors({start}, {stop}, …) has {first_factor}, factor() {second_factor}",
            )


@check("schedule")
def only_observing_schedules_react(subject: Subject) -> None:
    """``observes`` has a valid value, and a schedule that observes nothing has no state and never reacts."""
    schedule = subject.create()
    require(
        schedule.observes in ("nothing", "window", "epoch"),
        f"observes is {schedule.observes!r}, expected nothing, window or epoch",
    )
    require(
        (schedule.window > 0) == (schedule.observes == "window"),
        f"a schedule that observes {schedule.observes!r} has the window {schedule.window}",
    )
    if schedule.observes == "nothing":
        before = factors(schedule)
        for value in losses(50):
            schedule.observe(value)
        require(factors(schedule) == before, "the schedule reacts to losses although observes is 'nothing'")
        require(not schedule.state(), f"the schedule observes nothing, but has the state {schedule.state()}")


@check("schedule")
def it_continues_from_its_state(subject: Subject) -> None:
    """A new instance that is restored from the state as JSON has the same factors from then on."""
    for seen in (0, 1, 2, 7, 23, 40):
        first, second = subject.create(), subject.create()
        observed = losses(60)
        for value in observed[:seen]:
            first.observe(value)
        try:
            text = json.dumps(first.state(), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise AssertionError(
                f"after {seen} losses, state() cannot be written as JSON: {error}"
            ) from error
        second.restore(json.loads(text))
        for number, value in enumerate(observed[seen:], seen):
            first_factor, second_factor = first.factor(5, TOTAL), second.factor(5, TOTAL)
            require(
                first_factor == second_factor,
                f"after {number} losses the factor is {first_factor}, but {second_factor} in a continued run",
            )
            first.observe(value)
            second.observe(value)
        require(first.state() == second.state(), "a continued run ends with a different state")


@check("schedule")
def schedules_share_no_state(subject: Subject) -> None:
    """Losses that one instance observes do not change another instance."""
    first, second = subject.create(), subject.create()
    before = factors(second)
    for value in losses(50):
        first.observe(value)
    require(factors(second) == before, "what one instance has observed changes the factors of another")


@check("schedule")
def any_observed_loss_gives_finite_factors(subject: Subject) -> None:
    """Factor and state stay finite when observed losses are NaN, infinite, 0 or negative."""
    schedule = subject.create()
    for value in (np.nan, np.inf, 1.0, np.nan, -np.inf, 0.0, 0.0, np.inf, -1.0, 2.0):
        schedule.observe(float(value))
        _require_rate(schedule.factor(5, TOTAL), f"after a loss of {value}")
        try:
            json.dumps(schedule.state(), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise AssertionError(
                f"after a loss of {value}, state() cannot be written as JSON: {error}"
            ) from error
