"""Runs that are killed at random moments lose nothing. ``python -m benchmarks kills`` kills many more."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kills import CONFIGURATIONS, Tally, kill_all

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")  # in MLflow


def test_killed_runs_and_stacks_continue_to_the_same_bits(tmp_path: Path) -> None:
    chosen = {
        name: [word for word in CONFIGURATIONS[name] if not word.startswith("epochs=")] + ["epochs=50"]
        for name in ("stack of rates", "ema, early_stopping")
    }
    for name, tally in kill_all(tmp_path, chosen, number=6, seed=2).items():
        assert tally.kills == 3
        assert tally.runs >= (4 if name == "stack of rates" else 1)
        assert tally == Tally(tally.kills, tally.continued, tally.runs), name
