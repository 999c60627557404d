"""Odd command lines compose, or are refused in words; the short version of the benchmark."""

from __future__ import annotations

import pytest

from benchmarks.configurations import answer, check


def test_odd_command_lines_are_answered() -> None:
    answers = check(300, seed=0)
    assert answers["composed"] > 0
    assert answers["words"] > 0


@pytest.mark.long
def test_ten_thousand_odd_command_lines_are_answered() -> None:
    assert check(10_000, seed=1).total() >= 10_000


@pytest.mark.parametrize(
    "words",
    [["~dataset=true"], ["dataset.charset=nonsense", "dataset=csv", "dataset.file=x"], ["lr=${nothing}"]],
)
def test_command_lines_that_once_ended_in_a_traceback(words: list[str]) -> None:
    assert answer(words) == "words"
