"""``python -m benchmarks configurations``: thousands of odd command lines, drawn by hypothesis.

Every one must compose into a configuration whose components can be created, or be refused in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

from mlpframe import registries
from mlpframe.api import UsageError
from mlpframe.config import DICTS, GROUPS, Root, read_root
from mlpframe.discovery import load_plugins
from mlpframe.registry import options_of

from .writing import Table, write

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

LINES = 3
"""The most lines of a message."""
LETTERS = 3000
"""The most letters of a message: it may quote a word of the command line and list names."""
VALUES = (
    "null",
    "true",
    "1",
    "0",
    "-1",
    "2.5",
    "1e400",
    "nan",
    "-inf",
    "1_000",
    "0x10",
    "9" * 400,
    "''",
    '""',
    "'a",
    "[",
    "[]",
    "[1,2]",
    "[[1],[a]]",
    "[null]",
    "{}",
    "{a:1}",
    "{a:{b:[1]}}",
    "{",
    "a,b",
    "1,2,3",
    "range(3)",
    "choice(a,b)",
    "interval(0,1)",
    "glob(*)",
    "sort(1,2)",
    "tag(t,1)",
    "str(1)",
    "int(x)",
    "${lr}",
    "${nothing}",
    "${lr",
    "${oc.env:NO}",
    "${oc.decode:'['}",
    "${now:%Y}",
    "${.x}",
    "???",
    "\\",
    "a b",
    "é",
    "\u2028",
    "\t",
    "a=b",
    "=",
    ":",
    "@",
    "../x",
    "/etc",
    "adam",
    "sgd",
    "mlp",
    "layers",
    "csv",
    "npz",
    "cosine",
    "{name:relu}",
    "{name:nothing}",
    "{name:adam,lr:1}",
)
"""Values that mean something to Hydra, to OmegaConf or to mlpframe."""


def command_lines() -> SearchStrategy[list[str]]:
    """Lists of overrides: known and unknown keys, with values of every kind, or any text."""
    from hypothesis import strategies as st

    roots = [field.name for field in fields(Root)]
    options = [
        f"{group}.{option.name}"
        for group in GROUPS
        for name in registries[group].names()
        for option in options_of(registries[group][name])
    ]
    entries = [f"{key}.{name}" for key, kind in DICTS.items() for name in registries[kind].names()]
    known = [
        *roots,
        *dict.fromkeys(options),
        *entries,
        "hydra.run.dir",
        "hydra/launcher",
        "replicas",
        "folds",
    ]
    text = st.text(max_size=12)
    odd_key = st.text("abz_.@/:[]{}()$~+-= é\0\n'\"", max_size=8)
    value = st.one_of(
        st.sampled_from(VALUES),
        st.integers().map(str),
        st.floats().map(str),
        st.text("[]{}(),:'\"$\\ab1. ", max_size=12),
        text,
    )
    chosen = st.sampled_from(GROUPS).flatmap(
        lambda group: st.sampled_from(registries[group].names()).map(lambda name: f"{group}={name}")
    )
    assigned = st.tuples(
        st.sampled_from(("", "", "", "", "+", "++", "~")),
        st.one_of(st.sampled_from(known), st.sampled_from(known), odd_key),
        value,
    ).map(lambda parts: f"{parts[0]}{parts[1]}={parts[2]}")
    return st.lists(st.one_of(assigned, assigned, assigned, chosen, text), min_size=1, max_size=3)


def answer(words: Sequence[str]) -> str:
    """What becomes of a command line: ``composed``, or ``words`` if it is refused in words.

    Raises:
        AssertionError: the message is empty or too long.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from mlpframe.runs.compose import compose, usage_error
    from mlpframe.runs.overrides import CommandLine

    try:
        line = CommandLine.parse(words)
        root = read_root(compose([str(override) for override in line.overrides]))
        _create(root)
    except UsageError as error:
        message = str(error)
    except (HydraException, OmegaConfBaseException) as error:  # launch puts these into words
        message = str(usage_error(error))
    else:
        return "composed"
    assert message.strip()
    assert len(message.splitlines()) <= LINES, message
    assert len(message) <= LETTERS, message
    return "words"


def _create(root: Root) -> None:
    """Create the components of a configuration, as a run does before it reads data."""
    for group in GROUPS:
        options: Any = getattr(root, group)
        if options is not None and group != "dataset":
            registries[group].create(options)
    for key, kind in DICTS.items():
        for options in getattr(root, key).values():
            registries[kind].create(options)
    registries["dataset"].create(root.dataset)


def check(examples: int, seed: int) -> Counter[str]:
    """Answer so many command lines. Returns how many were composed, and how many refused in words.

    Raises:
        Exception: what an answer has raised, for the shortest such command line that hypothesis finds.
    """
    from hypothesis import HealthCheck, given, settings
    from hypothesis import seed as seeded

    load_plugins()
    answers: Counter[str] = Counter()

    @seeded(seed)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(command_lines())
    def every_command_line_is_answered(words: list[str]) -> None:
        answers[answer(words)] += 1

    every_command_line_is_answered()
    return answers


@click.command()
@click.option("--examples", default=10_000, show_default=True, help="Command lines to draw.")
@click.option("--seed", default=0, show_default=True, help="Of the drawing.")
def configurations(examples: int, seed: int) -> None:
    """Compose odd command lines; fail with the first that is neither composed nor refused in words."""
    answers = check(examples, seed)
    rows = [(f"{answers.total():,}", f"{answers['composed']:,}", f"{answers['words']:,}", "0")]
    table = Table("Command lines", ("drawn", "composed", "refused in words", "failures"), rows)
    table.show()
    text = (
        "One to three overrides: known and unknown keys and components, with values of every kind, or any\n"
        "text. Every one is composed into a configuration whose components are created, or refused in one\n"
        "to three lines."
    )
    write("configurations", "Odd command lines", f"{text}\n\nSeed {seed}.", [table])
