"""Tests of the schedule ``template``."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlpframe.api import registries
from mlpframe.testing import Case, plugin_cases

PLUGIN = Path(__file__).parent / "template.py"


@pytest.mark.parametrize("case", plugin_cases(PLUGIN), ids=str)
def test_conforms(case: Case) -> None:
    case()


def test_the_factor_is_a_straight_line() -> None:
    schedule = registries["schedule"].create("template", final=0.5)
    assert [schedule.factor(step, 4) for step in range(5)] == [1.0, 0.875, 0.75, 0.625, 0.5]
