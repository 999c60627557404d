"""The examples in README and CONTRIBUTING work."""

from __future__ import annotations

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
    (code,) = python_blocks(text)
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


@pytest.mark.parametrize("kind", ["layer", "loss", "optimizer"])
def test_the_textbook_forms_in_the_pages_pass_the_kit(kind: str, tmp_path: Path) -> None:
    (code,) = [one for one in python_blocks(README.read_text() + CONTRIBUTING) if f"({kind.title()}):" in one]
    file = tmp_path / f"shown_{kind}.py"
    file.write_text(code)
    found = plugin_cases(file)
    outcomes = {str(one): one.outcome() for one in found}
    registries[kind].forget(registries[kind][found[0].name].__module__)
    assert {title: one.reason for title, one in outcomes.items() if one.status == "failed"} == {}


def test_contributing_shows_the_signature_of_check_range() -> None:
    (shown,) = re.findall(r"check_range\((name, value.*?)\)\n", CONTRIBUTING)
    given = signature(check_range).parameters.values()
    assert shown == ", ".join(
        ["name", "value", "*", *(f"{one.name}=None" for one in given if one.kind is one.KEYWORD_ONLY)]
    )
