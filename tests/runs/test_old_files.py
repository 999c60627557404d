"""Files that earlier versions have written still load; files of later versions are refused with a message."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mlpframe.api import UsageError
from mlpframe.runs.folder import RunFolder
from mlpframe.training import Predictor, checkpoint
from tests.running import ROOT, mlpframe

OLD = ROOT / "tests" / "files" / "0.1"
EXPECTED = np.load(OLD / "predictions.npz")


def test_a_model_file_of_0_1_predicts_as_in_0_1() -> None:
    predictor = Predictor(OLD / "run" / "model" / "model.npz")
    np.testing.assert_allclose(predictor.predict(EXPECTED["x"]), EXPECTED["y"], rtol=1e-5)


def test_an_mlflow_model_of_0_1_predicts_as_in_0_1() -> None:
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(str(OLD / "model"))
    np.testing.assert_allclose(model.predict(EXPECTED["x"]), EXPECTED["y"], rtol=1e-5)


def test_a_run_of_0_1_continues_to_the_same_weights(tmp_path: Path) -> None:
    shutil.copytree(OLD / "run", tmp_path / "continued")
    done = mlpframe(tmp_path, "resume=continued", "epochs=4", "tracking=none")
    assert done.returncode == 0, done.stderr
    arrays, meta = checkpoint.load(tmp_path / "continued" / "checkpoints" / "last.npz")
    np.testing.assert_allclose(arrays["w"], EXPECTED["continued"], rtol=1e-5)
    assert meta["format"] == checkpoint.FORMAT


def test_a_newer_checkpoint_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "last.npz"
    text = np.frombuffer(json.dumps({"format": checkpoint.FORMAT + 1}).encode(), np.uint8)
    with file.open("wb") as opened:
        np.savez(opened, **{checkpoint.META: text})
    with pytest.raises(UsageError, match=r"has format 4, .* reads formats up to 3: install"):
        checkpoint.load(file)


def test_a_newer_record_of_a_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"format": checkpoint.FORMAT + 1}))
    with pytest.raises(UsageError, match=r"run\.json has format 4"):
        RunFolder(tmp_path).read()
