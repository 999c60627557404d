"""Tests of the engine ``template``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlpframe.api import registries
from mlpframe.testing import Case, plugin_cases
from mlpframe.training import Network, Streams, Updater

PLUGIN = Path(__file__).parent / "template.py"


@pytest.mark.parametrize("case", plugin_cases(PLUGIN), ids=str)
def test_conforms(case: Case) -> None:
    case()


def test_stacked_networks_are_refused() -> None:
    loss, target = registries["loss"].create("cross_entropy"), np.empty(0, np.intp)
    layers = [registries["layer"].create("linear", units=3)]
    networks = [Network(layers, loss, 4, target, "float64", Streams(seed)) for seed in range(2)]
    single, stacked = networks[0], Network.stacked(networks)
    sgd, engine = registries["optimizer"].create("sgd"), registries["engine"].create("template")
    assert engine.refuses(single, Updater(sgd, single)) is None
    assert engine.refuses(stacked, Updater(sgd, stacked)) == "it runs one network at a time, not replicas"
