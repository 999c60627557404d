"""What the README shows works as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_plugin_of_the_readme_trains(tmp_path: Path) -> None:
    text = README.read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
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
