"""Tests of the data set ``template``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlpframe.api import DataContext, registries
from mlpframe.testing import Case, plugin_cases

PLUGIN = Path(__file__).parent / "template.py"


@pytest.mark.parametrize("case", plugin_cases(PLUGIN), ids=str)
def test_conforms(case: Case) -> None:
    case()


def test_the_classes_have_their_centers() -> None:
    dataset = registries["dataset"].create("template", rows=1000, spread=0.1)
    splits = dataset.load(DataContext(Path(), np.random.default_rng(0)))
    for number, center in enumerate(([-1, 0], [1, 0])):
        rows = splits.train.x[splits.train.y == number]
        assert len(rows) == 500
        np.testing.assert_allclose(rows.mean(0), center, atol=0.02)
