"""Carry out cases in a child process with a limit on time and on memory, and judge how each one ends."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

from .damages import BYTES, WEIGHTS, WRONG
from .kinds import Kind, fingerprint, kinds

SECONDS = 10.0
"""Seconds of processor time that a case may take, so that the machine's other load does not count."""
PATIENCE = 120.0
"""Seconds after which a case that takes no processor time has failed, too."""
MEMORY = 4 << 30
"""Bytes of address space that a case may use, beyond what the process has when the libraries are imported."""
LINES = 3
"""The most lines of a message."""
CATCH_ALLS = {
    ("prepare.py", "_load"),
    ("compose.py", "usage_error"),
    ("compose.py", "in_words"),
    ("sweep.py", "run"),
    ("cli.py", "main"),
}
"""Functions that turn any error of many kinds into words: an error must be put into words before them."""


@dataclass(frozen=True)
class Case:
    """A damaged file.

    Args:
        number: with the seed, decides everything random.
        kind: the name of the kind of file.
        damage: what happens to the file.
        seed: the seed of all cases.
    """

    number: int
    kind: str
    damage: str
    seed: int

    @property
    def rng(self) -> Random:
        return Random(f"{self.seed} {self.number}")

    def __str__(self) -> str:
        return f"case {self.number} ({self.kind}, {self.damage})"


@dataclass(frozen=True)
class Outcome:
    """How a case ended: ``same`` or ``other`` values, in ``words``, or a failure with its ``detail``."""

    case: Case
    result: str
    detail: str = ""

    @property
    def failed(self) -> bool:
        return self.result not in ("same", "other", "words")


def cases(number: int, seed: int, names: Sequence[str]) -> list[Case]:
    """The cases of a seed: the kinds take turns, the damage is drawn."""
    rng = Random(seed)
    damages = rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=number)
    return [Case(i, names[i % len(names)], damage, seed) for i, damage in enumerate(damages)]


def damage(case: Case, kind: Kind, folder: Path) -> None:
    """Write the sound files into ``folder``, and damage one of them."""
    kind.make(folder)
    file, rng = folder / kind.file, case.rng
    if case.damage == WRONG:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.wrong(file, rng)
    else:
        file.write_bytes(BYTES[case.damage](file.read_bytes(), rng))


# --- in one process ------------------------------------------------------------------------------------


def run(chosen: Sequence[Case]) -> Iterator[Outcome]:
    """Carry out the cases one after the other in a child process, which is replaced if it is killed."""
    context = multiprocessing.get_context("fork")
    waiting = list(chosen)
    by_name = kinds()
    with tempfile.TemporaryDirectory() as scratch:  # trains the runs before children copy this process
        for name in dict.fromkeys(case.kind for case in waiting):
            by_name[name].make(Path(scratch))
    while waiting:
        ours, theirs = context.Pipe(duplex=False)
        with tempfile.TemporaryDirectory() as scratch:
            child = context.Process(target=_report, args=(waiting, theirs, Path(scratch)))
            child.start()
            theirs.close()
            try:
                while waiting:
                    said = ours.recv() if ours.poll(PREPARATION) else "took too long to prepare a case"
                    if said != BEGAN:
                        raise RuntimeError(f"{waiting[0]}: {said}")
                    if ours.poll(PATIENCE):
                        result, detail = ours.recv()
                    else:
                        result, detail = "timeout", f"took more than {PATIENCE:g} s"
                    yield Outcome(waiting.pop(0), result, detail)
                    if result == "timeout":
                        break
            except EOFError:
                child.join()
                yield Outcome(waiting.pop(0), *_killed(child.exitcode))
            finally:
                child.kill()
                child.join()


PREPARATION = 600.0
"""Seconds to wait for the child to write the files of a case, which may be one that unpacks to gigabytes."""


BEGAN = "began"


def _killed(status: int | None) -> tuple[str, str]:
    if status == -signal.SIGPROF:
        return "timeout", f"took more than {SECONDS:g} s"
    return "killed", f"the process ended with status {status}"


def _report(waiting: Sequence[Case], pipe: Any, scratch: Path) -> None:
    """Carry out the cases, or say why their files cannot be written."""
    try:
        _work(waiting, pipe, scratch)
    except Exception:
        pipe.send(traceback.format_exc())


def _work(waiting: Sequence[Case], pipe: Any, scratch: Path) -> None:
    """What the child does: answer every case with its result."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    by_name = kinds()
    os.chdir(scratch)
    sound: dict[str, str] = {}
    for name in dict.fromkeys(case.kind for case in waiting):
        folder = scratch / f"sound {len(sound)}"
        folder.mkdir()
        by_name[name].make(folder)
        sound[name] = _sound(by_name[name], folder)
    _limit_memory()
    for case in waiting:
        kind, folder = by_name[case.kind], scratch / str(case.number)
        folder.mkdir()
        damage(case, kind, folder)
        pipe.send(BEGAN)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # ends this process
        result = _judge(kind, folder, sound[case.kind], case)
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send(result)
        shutil.rmtree(folder, ignore_errors=True)


def _sound(kind: Kind, folder: Path) -> str:
    """The fingerprint of the sound file; empty if mlpframe refuses this kind of file in words."""
    from mlpframe.api import UsageError

    try:
        return fingerprint(kind.read(folder))
    except UsageError:
        return ""


def _limit_memory() -> None:
    status = Path("/proc/self/status")
    if status.exists():  # Linux
        size = int(status.read_text().partition("VmSize:")[2].split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))


def _judge(kind: Kind, folder: Path, sound: str, case: Case) -> tuple[str, str]:
    from mlpframe.api import UsageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = fingerprint(kind.read(folder))
    except UsageError as error:
        return _judge_words(error)
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = " < ".join(
            f"{Path(f.filename).name}:{f.lineno}"
            for f in reversed(traceback.extract_tb(error.__traceback__)[-6:])
        )
        return "traceback", f"{type(error).__name__}: {str(error)[:150]!r} at {where} ({last.name})"
    if read == sound:
        return "same", ""
    if kind.checked and case.damage != WRONG:
        return "silent", "read with other values"
    return "other", ""


def _judge_words(error: Exception) -> tuple[str, str]:
    text = str(error)
    raised = _raiser(error.__traceback__)
    if error.__cause__ is not None and raised in CATCH_ALLS:
        cause = traceback.extract_tb(error.__cause__.__traceback__)
        where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(cause[-5:]))
        return "catch-all", f"{type(error.__cause__).__name__}: {text[:150]!r} at {where}"
    if not 1 <= len(text.splitlines()) <= LINES or not text.strip():
        return "too long", f"{len(text.splitlines())} lines: {text[:150]!r}"
    if len(text) > 1000:
        return "too long", f"{len(text)} letters: {text[:150]!r}"
    return "words", text


def _raiser(trace: TracebackType | None) -> tuple[str, str]:
    last = traceback.extract_tb(trace)[-1]
    return Path(last.filename).name, last.name


# --- through the command ---------------------------------------------------------------------------------


def run_command(case: Case, kind: Kind) -> Outcome:
    """Carry out a case as ``python -m mlpframe`` does, in a process and a folder of its own.

    The process is a copy of this one, which has imported the libraries: starting Python takes ten times as
    long as most of these commands.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        damage(case, kind, folder)
        child = multiprocessing.get_context("fork").Process(target=_command, args=(kind.command, folder))
        child.start()
        child.join(PATIENCE)
        child.kill()
        child.join()
        lines = (folder / STDERR).read_text(errors="replace").strip().splitlines()
    if child.exitcode == 0:
        return Outcome(case, "other")
    if child.exitcode == 2 and 1 <= len(lines) <= LINES and not any("Traceback" in line for line in lines):
        return Outcome(case, "words", "\n".join(lines))
    if child.exitcode is not None and child.exitcode < 0:
        return Outcome(case, *_killed(child.exitcode))
    return Outcome(case, "traceback", f"status {child.exitcode}: {' | '.join(lines[-4:])[:400]}")


STDERR = "stderr.txt"


def _command(arguments: Sequence[str], folder: Path) -> None:
    """What the child does: run the command line of ``arguments``, and exit with its status."""
    from mlpframe.cli import main

    os.chdir(folder)
    os.environ.pop("HYDRA_FULL_ERROR", None)  # the runs that this process has trained have set it
    for stream, file in ((1, os.devnull), (2, STDERR)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), stream)
    sys.stdout, sys.stderr = (
        os.fdopen(stream, "w", closefd=False) for stream in (1, 2)
    )  # pytest has replaced them
    sys.argv[1:] = arguments
    _limit_memory()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        main()
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        raise SystemExit(1) from None
