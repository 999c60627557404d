"""Tests of the initializer ``template``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlpframe.api import Parameter, registries
from mlpframe.testing import Case, plugin_cases

PLUGIN = Path(__file__).parent / "template.py"


@pytest.mark.parametrize("case", plugin_cases(PLUGIN), ids=str)
def test_conforms(case: Case) -> None:
    case()


def test_the_variance_follows_the_formula() -> None:
    out = np.empty((100, 300))
    parameter = Parameter(out.shape, "template", fan_in=100, fan_out=300)
    registries["initializer"].create("template", gain=2.0).fill(out, parameter, np.random.default_rng(0))
    assert out.var() == pytest.approx(4 / 100, rel=0.05)
