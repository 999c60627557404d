"""Run another revision of this repository beside this checkout, each in its own Python environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import click

from .command import run_python

OLD, NEW = "old", "new"
ROOT = Path(__file__).parents[1]
CACHE = ROOT / "outputs" / "against"
PROBE = Path(__file__).with_name("probe.py")
SETTINGS_OF_THE_USER = ("MLFLOW_", "MLPFRAME_", "HYDRA_", "PYTHON", "VIRTUAL_ENV")
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Revision:
    """A revision that can run: the root of its code, and the Python of its environment."""

    root: Path
    python: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which Python imports this revision, without the user's settings."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(SETTINGS_OF_THE_USER)}
        return {**kept, "PYTHONPATH": str(self.root)}

    def seconds(self, folder: Path, *arguments: str, status: int = 0) -> float:
        """Run Python in a folder. Returns the seconds that the process takes."""
        return run_python(folder, *arguments, status=status, python=self.python, environment=self.environment)

    @contextmanager
    def probe(self, folder: Path) -> Iterator[Probe]:
        """Start ``probe.py`` with this revision in ``folder``: it trains on request, on one BLAS thread."""
        process = subprocess.Popen(
            [self.python, "-P", PROBE],  # -P: the probe cannot import the files beside it
            cwd=folder,
            env={**self.environment, **ONE_THREAD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            probe = Probe(process)
            code = Path(probe.about["code"])
            if self.root not in code.parents:
                raise click.ClickException(f"{self.python} runs {code}, which is not in {self.root}")
            yield probe


class Probe:
    """A process that runs ``probe.py``; ``about`` describes its code, libraries and components.

    Args:
        process: the running process.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.about = self._ask(None)

    def fit(self, data: Path, overrides: Sequence[str]) -> Path | None:
        """Train on the arrays of a file. Returns the run's folder, or ``None`` if the training fails."""
        folder = self._ask({"data": str(data), "overrides": list(overrides)}).get("folder")
        return Path(folder) if folder else None

    def _ask(self, request: dict[str, Any] | None) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise click.ClickException("the process of a revision has ended; its error message is above")
        return json.loads(answer)


def git(*arguments: str) -> str:
    """Run a git command in this repository. Returns the output."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def this_checkout() -> Revision:
    return Revision(ROOT, Path(sys.executable))


def check_out(commit: str) -> Revision:
    """Give a commit its own work tree and environment. Later calls for the commit use both again."""
    folder = CACHE / commit
    code, venv, complete = folder / "code", folder / "venv", folder / "complete"
    revision = Revision(code, venv / "bin" / "python")
    if complete.exists():
        return revision
    click.echo(f"installing {commit[:7]} in {folder.relative_to(ROOT)}")
    folder.mkdir(parents=True, exist_ok=True)
    if not (code / ".git").exists():
        git("worktree", "prune")
        git("worktree", "add", "--force", "--detach", str(code), commit)
    _python(sys.executable, "-m", "venv", "--clear", str(venv))
    same = folder / "same.txt"  # today's library versions, so that only the code differs
    installed = {package.name: package.version for package in distributions() if package.name != "mlpframe"}
    same.write_text("".join(f"{name}=={version}\n" for name, version in installed.items()))
    install = ("-m", "pip", "install", "--quiet", "--editable", str(code))
    try:
        _python(revision.python, *install, "--constraint", str(same))
    except click.ClickException:  # the commit does not allow all of today's versions
        _python(revision.python, *install)
    complete.touch()
    return revision


def _python(python: Path | str, *arguments: str) -> None:
    run_python(CACHE, *arguments, python=python)
