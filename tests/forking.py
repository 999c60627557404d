"""Many requests to the command line at the price of one start of Python.

``python forking.py`` imports mlpframe, reads requests from standard input and forks a child for each. A child
answers in a process and a folder of its own, as ``python -m mlpframe`` does. Forking saves time for requests
that end at once, because they spend nearly all of their time on starting Python and importing libraries.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

Request = tuple[Path, Sequence[str]]
"""The folder in which a command runs, and the command's arguments."""


def ask(requests: Sequence[Request], environment: dict[str, str]) -> list[subprocess.CompletedProcess[str]]:
    """The outcome of ``python -m mlpframe <arguments>`` in the folder of each request."""
    text = json.dumps([(str(folder), list(arguments)) for folder, arguments in requests])
    ended = subprocess.run(
        [sys.executable, __file__], env=environment, input=text, capture_output=True, text=True, check=True
    )
    outcomes = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(outcomes) == len(requests)
    return [subprocess.CompletedProcess(list(outcome.pop("args")), **outcome) for outcome in outcomes]


def _answer(folder: str, arguments: list[str]) -> None:
    """In a child process: run the request, and end the process with its exit status."""
    status = 1
    try:
        os.chdir(folder)
        sys.argv[1:] = arguments
        runpy.run_module("mlpframe", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _fork(folder: str, arguments: list[str]) -> dict[str, object]:
    """Answer a request in a child process; returns what the child printed, and its exit status."""
    files = [os.memfd_create(name) for name in ("stdout", "stderr")]
    child = os.fork()
    if not child:
        for stream, file in zip((1, 2), files, strict=True):
            os.dup2(file, stream)
        _answer(folder, arguments)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    texts = []
    for file in files:
        os.lseek(file, 0, os.SEEK_SET)
        with open(file) as printed:
            texts.append(printed.read())
    return {"args": arguments, "returncode": status, "stdout": texts[0], "stderr": texts[1]}


if __name__ == "__main__":
    import mlpframe.commands
    import mlpframe.runs.launch
    import mlpframe.runs.train  # noqa: F401
    from mlpframe.discovery import load_plugins

    load_plugins()
    for request in json.loads(sys.stdin.read()):
        outcome = json.dumps(_fork(*request))
        print(outcome, flush=True)
