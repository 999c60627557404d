"""``mlpframe --help``: the commands, the groups and the whole configuration."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from ..registry import UsageError
from ..runs.compose import as_yaml, compose
from ..runs.keys import CHOSEN, choices
from ..runs.terminal import new_console

HELP = ("--help", "-h")
INTRODUCTION = """\
mlpframe: train a multilayer perceptron in plain NumPy, one MLflow run for each command.

  python -m mlpframe [key=value ...]                  train
  python -m mlpframe -m lr=0.1,0.03 seed=0,1          a sweep: one run for each combination
  python -m mlpframe replicas=8 [key=value ...]       eight seeds, trained together as one program
  python -m mlpframe list [kind] [name]               components, their options, types, defaults
  python -m mlpframe lr-range [key=value ...]         find a learning rate
  python -m mlpframe check, new                       check a component; write a new component
  python -m mlpframe compare RUNS ...                 compare recorded runs: means, intervals and tests
  python -m mlpframe predict RUN FILE -o OUT          predict every row of a file
  python -m mlpframe evaluate RUN [FILE]              how good a run is on rows it has not seen
  python -m mlpframe export RUN --python FOLDER       a Python file that needs NumPy alone
  python -m mlpframe serve RUN                        serve the model over HTTP, on this machine
  python -m mlpframe runs, runs diff, runs rm         list the latest runs; compare two; remove some
  python -m mlpframe trace                            follow one example by hand, every derivative
  python -m mlpframe report                           the report again: printed and measured numbers
  python -m mlpframe ui                               show the runs in MLflow's pages

Settings: seed, lr (null: the optimizer's own), epochs, batch_size, dtype (float32, float64), log_every
(steps a loss window is averaged over), shuffle, final (train on training and validation data, then
test), engine, threads, data_dir, run_name, tags, resume (a run's id or folder, latest or auto), start_from
(a run whose weights are the first weights), register (the model's name in MLflow's registry)."""


def show_help(arguments: Sequence[str]) -> int:
    """Print the help, and the configuration that the overrides in ``arguments`` compose.

    Raises:
        UsageError: an override is wrong, or a flag cannot be combined with ``--help``.
    """
    overrides = [argument for argument in arguments if argument not in HELP]
    flags = [argument for argument in overrides if argument.startswith("-")]
    if flags:
        raise UsageError(f"--help can be combined with key=value only, not with {flags[0]}")
    config = compose(overrides)
    console = new_console()
    print_block = console.print
    print_block(Text(INTRODUCTION))
    print_block("\n== Groups: choose with group=name ==\n")
    for group in sorted(CHOSEN):
        names = Text(f"{group}: {', '.join(choices(group))}")
        print_block(names, soft_wrap=not console.is_terminal)  # wrap lines between words on a terminal only
    print_block("\n== Configuration: set with key=value, e.g. model.hidden=[300] ==\n")
    print_block(Text(as_yaml(config)), soft_wrap=True)
    return 0
