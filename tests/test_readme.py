"""The examples in README and CONTRIBUTING work."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from inspect import signature
from pathlib import Path

import pytest

from mlpframe.api import check_range, registries
from mlpframe.testing import plugin_cases

README = Path(__file__).resolve().parent.parent / "README.md"
CONTRIBUTING = README.with_name("CONTRIBUTING.md").read_text()


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_plugin_in_the_readme_trains(tmp_path: Path) -> None:
    text = README.read_text()
    (code,) = [block for block in python_blocks(text) if "@register" in block]
    (file,) = re.findall(r"Put this in `([^`]+)`", text)
    ((folder, command),) = re.findall(r"`MLPFRAME_PLUGINS=(\S+) python -m mlpframe ([^`]+)`", text)
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "mlpframe", *command.split(), "epochs=3", "tracking=none"],
        cwd=tmp_path,
        env={**os.environ, "MLPFRAME_PLUGINS": folder},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "sign_descent" in done.stdout
    assert "reached val/loss" in done.stdout


def test_the_estimator_in_the_readme_fits(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = [block for block in python_blocks(README.read_text()) if "MLPClassifier" in block]
    exec(code, {})
    steps, values = ast.literal_eval(capsys.readouterr().out)
    assert steps[0] == 4  # 120 rows in batches of 32
    assert values[-1] < values[0]


@pytest.mark.parametrize("kind", ["layer", "loss", "optimizer"])
def test_the_textbook_forms_in_the_pages_pass_the_kit(kind: str, tmp_path: Path) -> None:
    blocks = python_blocks(README.read_text() + CONTRIBUTING)
    (code,) = [block for block in blocks if f"({kind.title()}):" in block]
    file = tmp_path / f"shown_{kind}.py"
    file.write_text(code)
    cases = plugin_cases(file)
    outcomes = {str(case): case.outcome() for case in cases}
    registries[kind].forget(registries[kind][cases[0].name].__module__)
    failed = {title: outcome.reason for title, outcome in outcomes.items() if outcome.status == "failed"}
    assert failed == {}


def test_contributing_shows_the_signature_of_check_range() -> None:
    (shown,) = re.findall(r"check_range\((name, value.*?)\)\n", CONTRIBUTING)
    parameters = signature(check_range).parameters.values()
    keywords = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    assert shown == ", ".join(["name", "value", "*", *(f"{keyword}=None" for keyword in keywords)])
