"""Tests of the callback ``template``."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlpframe.api import registries
from mlpframe.testing import Case, plugin_cases

PLUGIN = Path(__file__).parent / "template.py"


@pytest.mark.parametrize("case", plugin_cases(PLUGIN), ids=str)
def test_conforms(case: Case) -> None:
    case()


class Told:
    """Stands in for a run: gives the callback a loss, and records whether the callback calls ``stop``."""

    def __init__(self) -> None:
        self.latest = {"train/loss": 1.0}
        self.reason = ""

    def stop(self, reason: str) -> None:
        self.reason = reason


def test_the_run_stops_when_the_loss_is_low_enough() -> None:
    callback, run = registries["callback"].create("template", below=0.5), Told()
    callback.on_epoch(run)
    assert run.reason == ""
    run.latest["train/loss"] = 0.4
    callback.on_epoch(run)
    assert run.reason == "the training loss is below 0.5"
