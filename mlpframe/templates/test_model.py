"""Tests of the model ``template``."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlpframe.api import Shapes, registries
from mlpframe.testing import Case, plugin_cases

PLUGIN = Path(__file__).parent / "template.py"


@pytest.mark.parametrize("case", plugin_cases(PLUGIN), ids=str)
def test_conforms(case: Case) -> None:
    case()


def test_the_units_follow_the_formula() -> None:
    model = registries["model"].create("template", depth=2, activation="tanh")
    first, second = {"name": "linear", "units": 7}, {"name": "linear", "units": 4}
    assert model.layers(Shapes(10, 1, "regression")) == [first, "tanh", second, "tanh", "linear"]
