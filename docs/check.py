"""Check that the documentation's links lead to files, and that its ``python -m mlpframe`` commands are valid.

Run ``python docs/check.py`` from the repository's root. If something is wrong, the script prints a list and
ends with exit status 1.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead to no file."""
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    return [
        f"{page.relative_to(ROOT)}: link to {link}, which does not exist"
        for link in links
        if "://" not in link and not (page.parent / link).exists()
    ]


def experiments(page: Path) -> list[list[str]]:
    """The settings (such as ``lr=0.1``) of every training command on a page."""
    found = []
    for line in re.findall(r"(?<!plugins )python -m mlpframe([^\n`#|]*)", page.read_text()):
        words = shlex.split(line)
        if any("..." in word or "…" in word or "<" in word for word in words):
            continue
        if all("=" in word or word.startswith("-") for word in words):
            found.append([word for word in words if not word.startswith(("resume=", "replicas=", "-"))])
    return found


def main() -> int:
    problems = [problem for page in PAGES for problem in broken_links(page)]
    commands = sorted({tuple(words) for page in PAGES for words in experiments(page)})
    for words in commands:
        first = [re.sub(r"=([^\[{(,]+),.*", r"=\1", word) for word in words]  # of a sweep, the first run
        command = [sys.executable, "-m", "mlpframe", *first, "--cfg", "job"]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if result.returncode:
            problems.append(f"python -m mlpframe {' '.join(words)}: {result.stderr.strip()}")
    print("\n".join(problems) or f"documentation: {len(PAGES)} pages, {len(commands)} commands are right")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
