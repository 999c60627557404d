"""The engine ``template``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlpframe.api import registries
from mlpframe.testing import Case, plugin_cases

PLUGIN = Path(__file__).parent / "template.py"


@pytest.mark.parametrize("case", plugin_cases(PLUGIN), ids=str)
def test_it_is_what_every_engine_is(case: Case) -> None:
    case()


def test_it_takes_one_network_at_a_time() -> None:
    class Stacked:
        w = np.zeros((2, 5))

    class Single:
        w = np.zeros(5)

    engine = registries["engine"].create("template")
    assert engine.refuses(Stacked(), None) == "it runs one network at a time"
    assert engine.refuses(Single(), None) is None
