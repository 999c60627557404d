"""Tests of the layer ``template``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlpframe.api import registries
from mlpframe.testing import BoundLayer, Case, plugin_cases

PLUGIN = Path(__file__).parent / "template.py"


@pytest.mark.parametrize("case", plugin_cases(PLUGIN), ids=str)
def test_conforms(case: Case) -> None:
    case()


def test_negative_inputs_keep_a_share_of_the_slope() -> None:
    layer = BoundLayer(registries["layer"].create("template", slope=0.5), np.array([[-2.0, 0.0, 3.0]]), {})
    np.testing.assert_array_equal(layer.forward(), [[-1.0, 0.0, 3.0]])
    layer.backward(np.array([[1.0, 1.0, 10.0]]))
    assert layer.dx is not None
    np.testing.assert_array_equal(layer.dx, [[0.5, 0.5, 10.0]])
