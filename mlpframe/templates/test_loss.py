"""Tests of the loss ``template``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlpframe.api import registries
from mlpframe.testing import BoundLoss, Case, plugin_cases

PLUGIN = Path(__file__).parent / "template.py"


@pytest.mark.parametrize("case", plugin_cases(PLUGIN), ids=str)
def test_conforms(case: Case) -> None:
    case()


def test_loss_and_derivative_by_hand() -> None:
    output, target = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[0.0, 4.0], [0.0, 0.0]])
    loss = BoundLoss(registries["loss"].create("template", scale=2.0), output, target)
    assert loss.run() == 2.5  # the mean of 2 · ½ (1 + 4) and 0
    np.testing.assert_array_equal(loss.d_output, [[1.0, -2.0], [0.0, 0.0]])
