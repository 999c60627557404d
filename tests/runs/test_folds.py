"""``folds=K`` on the command line is a cross-validation: a sweep over K folds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.running import mlpframe

SMALL = ("dataset=iris", "epochs=2", "tracking=none")


def test_a_cross_validation_validates_on_every_row_once_and_shows_one_mean(tmp_path: Path) -> None:
    done = mlpframe(tmp_path, "folds=4", "dataset.test=0", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "│ all           │    4 │" in done.stdout
    (sweep,) = (tmp_path / "outputs" / "sweeps").glob("*/*")
    records = [json.loads((sweep / str(fold) / "run.json").read_text()) for fold in range(4)]
    for fold, record in enumerate(records):
        assert {"dataset.folds=4", f"dataset.fold={fold}"} <= set(record["overrides"])
    sizes = [
        int(line.split(" training rows")[0].split()[-1])
        for line in done.stdout.splitlines()
        if " training rows" in line
    ]
    np.testing.assert_allclose(sizes, 150 * 3 / 4, atol=1)
    assert sum(150 - size for size in sizes) == 150


def test_settings_and_folds_are_combined(tmp_path: Path) -> None:
    done = mlpframe(tmp_path, "-m", "folds=2", "lr=0.1,0.01", "callbacks.progress=null", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "│ lr=0.1 " in done.stdout
    assert "│ lr=0.01 " in done.stdout


@pytest.mark.parametrize("value", ["1", "many", "-3", "2.5"])
def test_a_wrong_number_of_folds_is_refused(tmp_path: Path, value: str) -> None:
    done = mlpframe(tmp_path, f"folds={value}", *SMALL)
    assert done.returncode == 2
    assert f"folds={value}: expected the number of folds of a cross-validation, at least 2" in done.stderr
    assert list(tmp_path.iterdir()) == []
