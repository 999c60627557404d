"""The command ``serve``: MLflow's server answers with the predictions of the run, and ends with Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlpframe.training import Predictor
from tests.commands.tables import train
from tests.running import (
    answers,
    descendants,
    end_group,
    free_port,
    listening,
    mlpframe,
    running,
    start,
    wait_until,
)

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.0, -0.25]])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    np.savez(folder / "data.npz", x=x, y=x @ np.array([1.0, 2.0, 3.0]) + 5)
    train(folder, "dataset=npz", "dataset.file=data.npz", "loss=mse", tracking=True)
    return folder


def post(url: str, content: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())


def test_the_server_answers_with_the_predictions_and_ends_with_ctrl_c(place: Path) -> None:
    port = free_port()
    process = start(place, "serve", "latest", "--port", str(port))
    try:
        wait_until(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/ping"), "a server")
        assert process.poll() is None, process.communicate()[0]
        found = post(f"http://127.0.0.1:{port}/invocations", {"inputs": X.tolist()})
        (model,) = place.glob("outputs/runs/*/*/model/model.npz")
        values = np.array(_numbers(found["predictions"])).reshape(2, 1)
        np.testing.assert_allclose(values, Predictor(model).predict(X), rtol=1e-5)
        family = descendants(process.pid)
        assert {address for address, _ in listening(family)} <= {"127.0.0.1"}
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 0
        wait_until(lambda: not running(family), "the end of every process")
    finally:
        end_group(process)


def _numbers(predictions: Any) -> list[float]:
    """The numbers in the predictions of a server, which answers with rows or with records."""
    return [value for row in predictions for value in (row.values() if isinstance(row, dict) else row)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve", "00000"], "00000: no run"),
        (["serve", "models:/none/1"], "there is no registered model 'none'"),
        (["serve", "models:none"], "expected models:/<name>/<version>"),
    ],
)
def test_mistakes_are_said_in_words(arguments: list[str], words: str, place: Path) -> None:
    done = mlpframe(place, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_mlflow_does_not_know_is_refused(tmp_path: Path) -> None:
    train(tmp_path, "dataset=iris", "epochs=1")
    done = mlpframe(tmp_path, "serve", "latest")
    assert done.returncode == 2
    assert "MLflow has not recorded this run" in done.stderr
