"""The command line: run a named command or an experiment, and print errors as plain messages."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from .discovery import load_plugins
from .registry import UsageError, registries
from .tracking.client import worker


def main() -> None:
    """Run the command in ``sys.argv`` and exit with its status."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments or bool(os.environ.get("HYDRA_FULL_ERROR"))
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        status = run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the program that reads our output has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except Exception as error:
        message = _words(error)
        if message is None:
            raise
        if debug:
            traceback.print_exc()
        print(message, file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def _words(error: Exception) -> str | None:
    """A message of one to three lines if the user's request is wrong; ``None`` for any other error."""
    if isinstance(error, UsageError):
        return str(error)
    from .runs.compose import usage_error  # imported only here, because the module imports Hydra (slow)

    mistake = usage_error(error)
    return None if mistake is None else str(mistake)


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return the exit status.

    Raises:
        UsageError: the request is wrong.
    """
    named = bool(arguments) and not arguments[0].startswith(("-", "+", "~")) and "=" not in arguments[0]
    trains = not named and all("=" in argument for argument in arguments)
    if trains and "tracking=none" not in arguments:
        # start the process for MLflow first: meanwhile this process composes the configuration and reads data
        worker()
    if named:
        from .commands import WITHOUT_PLUGINS, dispatch

        if arguments[0] in WITHOUT_PLUGINS:
            return dispatch(arguments)
    load_plugins()
    for broken in registries.broken:
        print(f"plugin {broken.file} could not be loaded: {broken.error}", file=sys.stderr)
    if not named and {"--help", "-h"} & set(arguments):
        from .commands.help import show_help

        return show_help(arguments)
    if named:
        return dispatch(arguments)
    from .runs.launch import launch

    return launch(arguments)
