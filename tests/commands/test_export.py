"""The command ``export``: the exported file predicts what the run predicts, without mlpframe."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlpframe.api import UsageError
from mlpframe.commands import dispatch
from mlpframe.training import Predictor
from tests.commands.tables import N, orders, train

ALONE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top != "numpy" and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"{name} is not allowed")

sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
import runpy
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A program that runs a Python file but lets it import only NumPy and the standard library."""


def run_alone(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    frame = orders()
    frame.drop(columns="price").to_csv(folder / "late.csv", index=False)
    frame.drop(columns="late").to_csv(folder / "price.csv", index=False, sep=";", decimal=",")
    x = np.random.default_rng(1).normal(size=(N, 4)).astype(np.float32)
    np.savez(folder / "tags.npz", x=x, y=(x[:, :3] > 0).astype(int))
    pd.DataFrame(x, columns=list("abcd")).to_csv(folder / "tags.csv", index=False)
    return folder


TABLES = {
    "late": ("dataset=csv", "dataset.file=late.csv"),
    "robust": ("dataset=csv", "dataset.file=late.csv", "dataset.scaling=robust", "dataset.missing=indicate"),
    "price": ("dataset=csv", "dataset.file=price.csv"),
    "rare": ("dataset=csv", "dataset.file=late.csv", "dataset.max_categories=1", "dtype=float64"),
    "tags": ("dataset=npz", "dataset.file=tags.npz"),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_exported_file_predicts_a_csv_as_the_command_does(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    file = {"price": "price.csv", "tags": "tags.csv"}.get(name, "late.csv")
    run = train(place, *TABLES[name], "epochs=5")
    strange = orders().head(20).assign(color="never seen", size=np.nan)  # values that no training row has
    marks: dict[str, Any] = {"sep": ";", "decimal": ","} if name == "price" else {}
    if name != "tags":
        strange.to_csv("strange.csv", index=False, **marks)
    assert dispatch(["export", str(run), "--python", f"{name}_exported"]) == 0
    for table in [file] if name == "tags" else [file, "strange.csv"]:
        (place / "printed.csv").write_text(run_alone(place, f"{name}_exported/model.py", table))
        assert dispatch(["predict", str(run), table, "-o", "predicted.csv"]) == 0
        printed, predicted = pd.read_csv("printed.csv"), pd.read_csv("predicted.csv")
        pd.testing.assert_frame_equal(printed, predicted, rtol=1e-6, atol=1e-6)


def test_columns_may_be_python_values(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    run = train(place, *TABLES["late"], "epochs=5")
    dispatch(["export", str(run), "--python", "values"])
    code = """
import sys, json
from datetime import date, datetime
import numpy as np
import runpy
Model = runpy.run_path("values/model.py")["Model"]
columns = {"color": ["red", None], "size": [3, float("nan")], "paid": [True, np.False_],
           "day": [datetime(2021, 5, 1), np.datetime64("2022-01-31T05:00:00")]}
print(json.dumps(Model().table(columns)))
"""
    (place / "values.py").write_text(code)
    found = json.loads(run_alone(place, "values.py"))
    frame = pd.DataFrame(
        {
            "color": ["red", None],
            "size": [3, np.nan],
            "paid": [True, False],
            "day": np.array(["2021-05-01", "2022-01-31T05:00"], "datetime64[ns]"),
        }
    )
    expected = Predictor(run / "model" / "model.npz").predict(frame)
    np.testing.assert_allclose(np.column_stack([found["p(no)"], found["p(yes)"]]), expected, rtol=1e-6)
    assert found["late"] == ["yes" if p > 0.5 else "no" for p in expected[:, 1]]


def test_a_layer_without_nodes_is_refused_by_its_name(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlpframe.training import portable

    monkeypatch.chdir(place)
    run = train(place, *TABLES["late"], "epochs=1", "model.activation=tanh")
    monkeypatch.delitem(portable.EXPRESSIONS, "Tanh")
    with pytest.raises(UsageError, match="the layer tanh: the operator Tanh cannot be written in NumPy"):
        dispatch(["export", str(run), "--python", str(tmp_path / "refused")])
    assert not (tmp_path / "refused").exists()
    with pytest.raises(UsageError, match="expected --onnx FILE or --python FOLDER"):
        dispatch(["export", str(run)])
