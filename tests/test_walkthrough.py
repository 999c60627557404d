"""``docs/walkthrough.py`` prints ``docs/walkthrough.txt``."""

from __future__ import annotations

from tests.running import ROOT, run_python


def test_the_walkthrough_prints_the_documented_output() -> None:
    done = run_python(ROOT, "docs/walkthrough.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (ROOT / "docs" / "walkthrough.txt").read_text()
