"""A third-party package is built, installed into a new environment, and used in another folder."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from mlpframe.api import Array
from mlpframe.training import checkpoint
from tests.running import ROOT, environment, sqlite_uri, the_run

PACKAGE = Path(__file__).with_name("third_party")
ONE_STEP = (
    "tracking=none",
    "dataset=synth",
    "dataset.num_train=64",
    "dataset.num_val=16",
    "epochs=1",
    "batch_size=64",
)
LINEAR = ("model.hidden=[]", "model.init=zeros")
"""Settings for a linear model whose weights start at 0, so the weights after one step are that step."""

Done = subprocess.CompletedProcess[str]


class Installed:
    """A new environment with the package, and an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()
        venv.create(folder / "venv", symlinks=True)
        self.python = folder / "venv" / "bin" / "python"
        # The new environment uses the packages of this environment, so nothing is downloaded. Python runs a
        # line of a .pth file that starts with "import"; addsitedir then reads the .pth files of a folder too.
        (site,) = (folder / "venv").glob("lib/*/site-packages")
        here = dict.fromkeys([str(ROOT), *map(sysconfig.get_path, ("purelib", "platlib"))])
        (site / "here.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in here))
        source = shutil.copytree(PACKAGE, folder / "source")  # a build may leave files in the source folder
        offline = ("--no-deps", "--no-build-isolation", "--no-index")
        done = self.run("-m", "pip", "install", *offline, str(source))
        assert done.returncode == 0, done.stderr

    def run(self, *arguments: str) -> Done:
        """Run ``python <arguments>`` in the new environment, in a folder outside the checkout."""
        variables = {**environment(), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        del variables["PYTHONPATH"]
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=self.elsewhere,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("third_party"))


def weights_after_one_step(installed: Installed, optimizer: str) -> tuple[Array, dict[str, Any]]:
    """Train for one step. Returns the weights, and the recorded options."""
    shutil.rmtree(installed.elsewhere / "outputs", ignore_errors=True)
    done = installed.run("-m", "mlpframe", f"optimizer={optimizer}", *ONE_STEP, *LINEAR)
    assert (done.returncode, done.stderr) == (0, "")
    arrays, meta = checkpoint.load(the_run(installed.elsewhere) / "checkpoints" / "last.npz")
    assert meta["progress"]["step"] == 1
    return arrays["w"], meta["about"]["config"]["optimizer"]


def test_the_optimizer_trains(installed: Installed) -> None:
    w, options = weights_after_one_step(installed, "sign_descent")
    assert (options["name"], options["pace"]) == ("sign_descent", 1.0)
    np.testing.assert_array_equal(np.abs(w), np.float32(0.01))  # every weight moves by the same distance
    assert len(np.unique(w)) == 2  # in both directions


def test_the_preset_trains(installed: Installed) -> None:
    w, options = weights_after_one_step(installed, "sign_descent_slow")
    assert (options["name"], options["pace"]) == ("sign_descent", 0.1)
    np.testing.assert_array_equal(np.abs(w), np.float32(0.01 * 0.1))


def test_the_list_names_the_package_of_the_optimizer(installed: Installed) -> None:
    done = installed.run("-m", "mlpframe", "list", "optimizer")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = [line for line in done.stdout.splitlines() if line.split()[:1] == ["sign_descent"]]
    assert "Descent by the sign of the gradient" in line
    assert line.rstrip().endswith("[mlpframe-example]")
    assert "broken" not in done.stdout


def test_the_list_shows_its_options(installed: Installed) -> None:
    done = installed.run("-m", "mlpframe", "list", "optimizer", "sign_descent")
    assert done.returncode == 0
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("pace")]
    assert line.split(maxsplit=3)[:3] == ["pace", "float", "1.0"]
    assert "a factor of the learning rate" in line
    assert "provided by mlpframe-example" in done.stdout
    assert "sign_descent.py:" in done.stdout


def test_help_has_the_optimizer_its_preset_and_its_options(installed: Installed) -> None:
    done = installed.run("-m", "mlpframe", "optimizer=sign_descent_slow", "--help")
    assert done.returncode == 0
    (group,) = [line for line in done.stdout.splitlines() if line.startswith("optimizer: ")]
    names = group.removeprefix("optimizer: ").split(", ")
    assert {"sign_descent", "sign_descent_slow", "sgd", "adaptive"} <= set(names)
    assert "optimizer:\n  name: sign_descent\n  pace: 0.1\n" in done.stdout


def test_mistakes_with_the_optimizer_are_explained(installed: Installed) -> None:
    done = installed.run("-m", "mlpframe", "optimizer=sign_decent")
    assert done.returncode == 2
    assert "no optimizer 'sign_decent'; nearest: sign_descent" in done.stderr


def test_a_script_can_create_the_optimizer(installed: Installed) -> None:
    program = """
import json
from mlpframe import registries
info = registries["optimizer"].info("sign_descent")
made = registries["optimizer"].create("sign_descent", pace=2, weight_decay=0.5)
values = [info.provider, made.pace, made.shared.weight_decay, str(info.file), len(registries.broken)]
print(json.dumps(values))
"""
    done = installed.run("-c", program)
    provider, pace, weight_decay, file, broken = json.loads(done.stdout)
    assert (provider, pace, weight_decay, broken) == ("mlpframe-example", 2, 0.5, 0)
    # the file is the installed copy, not the source
    assert Path(file).is_relative_to(installed.python.parents[1])


# --- an optimizer that refuses a combination with the options that every optimizer has ---------------


def test_a_refusal_is_printed_in_the_words_of_the_plugin(installed: Installed) -> None:
    rules = ("optimizer=sign_descent", "optimizer.clip_norm=1")
    done = installed.run("-m", "mlpframe", *rules, *ONE_STEP, *LINEAR)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "optimizer 'sign_descent': clip_norm changes no sign of the gradient: it has no effect without "
        "weight_decay\n"
    )
    done = installed.run("-m", "mlpframe", *rules, "optimizer.weight_decay=0.1", *ONE_STEP, *LINEAR)
    assert (done.returncode, done.stderr) == (0, "")


# --- engines -----------------------------------------------------------------------------------------


def trained_by(installed: Installed, *overrides: str) -> tuple[str, Array]:
    """Train a run. Returns the name of the recorded engine, and the weights."""
    shutil.rmtree(installed.elsewhere / "outputs", ignore_errors=True)
    done = installed.run("-m", "mlpframe", *ONE_STEP, *overrides)
    assert (done.returncode, done.stderr) == (0, "")
    (engine,) = re.findall(r", engine (\w+), ", done.stdout)
    return engine, checkpoint.load(the_run(installed.elsewhere) / "checkpoints" / "last.npz")[0]["w"]


def test_auto_takes_the_engine_if_it_suits(installed: Installed) -> None:
    suited = ("dtype=float64", "model.hidden=[16]")
    engine, w = trained_by(installed, *suited, "tracking=mlflow")
    assert engine == "sixteen"
    client = MlflowClient(sqlite_uri(installed.elsewhere))
    (run,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert run.data.tags["mlpframe.engine"] == "sixteen"
    engine, expected = trained_by(installed, *suited, "engine=numpy")
    assert engine == "numpy"
    np.testing.assert_array_equal(w, expected)


@pytest.mark.parametrize(
    "unsuited",
    [
        ("dtype=float32", "model.hidden=[16]"),
        ("dtype=float64", "model.hidden=[17]"),
        ("dtype=float64", "model.hidden=[16]", "optimizer=lbfgs"),
    ],
    ids=" ".join,
)
def test_auto_takes_neither_an_unsuited_engine_nor_one_of_lower_priority(
    installed: Installed, unsuited: tuple[str, ...]
) -> None:
    assert trained_by(installed, *unsuited)[0] == "numpy"


def test_any_engine_can_be_asked_for_by_name(installed: Installed) -> None:
    assert trained_by(installed, "engine=last_resort")[0] == "last_resort"


# --- a model -----------------------------------------------------------------------------------------


def test_the_model_trains_and_predicts_from_its_file(installed: Installed) -> None:
    _, w = trained_by(installed, "model=taper", "model.first=4", "dtype=float64")
    assert w.shape == (2 * 4 + 4 + 4 * 2 + 2 + 2 * 2 + 2,)
    file = the_run(installed.elsewhere) / "model" / "model.npz"
    program = """
import json, sys
from pathlib import Path
from mlpframe.training import Predictor
print(json.dumps(Predictor(Path(sys.argv[1])).predict([[0.5, -1.0], [2.0, 0.25]]).tolist()))
"""
    done = installed.run("-c", program, str(file))
    assert (done.returncode, done.stderr) == (0, "")
    y = np.array([[0.5, -1.0], [2.0, 0.25]])
    widths, start = (2, 4, 2, 2), 0
    for n_in, n_out in itertools.pairwise(widths):
        W, b = np.split(w[start : start + (n_in + 1) * n_out], [n_in * n_out])
        start += (n_in + 1) * n_out
        logits = y @ W.reshape(n_in, n_out) + b
        y = np.tanh(logits)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(json.loads(done.stdout), expected, rtol=1e-12)
