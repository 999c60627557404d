"""Tests of the optimizer ``template``."""

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


def test_first_steps_by_hand() -> None:
    optimizer = registries["optimizer"].create("template", beta=0.5)
    w, g, m, scratch = np.zeros(1), np.ones(1), np.zeros(1), np.empty(1)
    for step, expected in ((1, -0.05), (2, -0.125)):  # m = 1/2, then 3/4
        optimizer.update(w, g, {"m": m}, 0.1, step, scratch)
        assert w[0] == pytest.approx(expected)
