"""Tests of the transform ``template``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlpframe.api import registries
from mlpframe.testing import Case, plugin_cases

PLUGIN = Path(__file__).parent / "template.py"


@pytest.mark.parametrize("case", plugin_cases(PLUGIN), ids=str)
def test_conforms(case: Case) -> None:
    case()


def test_the_noise_has_its_standard_deviation() -> None:
    transform = registries["transform"].create("template", std=0.5)
    x, y = transform.apply(np.ones((100, 10, 10)), np.arange(100), np.random.default_rng(0))
    assert x.mean() == pytest.approx(1, abs=0.02)
    assert x.std() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_array_equal(y, np.arange(100))
