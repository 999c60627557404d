"""The words of a command line: flags of Hydra, and overrides ``key=value``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..registry import UsageError, nearest

MULTIRUN = ("-m", "--multirun")
"""The flags that request a sweep."""
FLAGS = (
    "--help",
    "--hydra-help",
    "--version",
    "--cfg",
    "--resolve",
    "--package",
    "--run",
    "--multirun",
    "--shell-completion",
    "--config-path",
    "--config-name",
    "--config-dir",
    "--experimental-rerun",
    "--info",
)
"""Hydra's flags. A test compares them with the flags that ``--hydra-help`` lists."""
OPEN_DICTS = ("transforms", "metrics", "callbacks", "tags")
"""Root keys that are dictionaries. An override ``metrics.name=…`` adds an entry without Hydra's ``+``."""
FOLD = "dataset.fold"
"""The key of a fold's number, which differs between the runs of a cross-validation."""
PARENT = "tracking.parent"
"""The key that gives a sweep's jobs the id of their parent run in MLflow."""


COMPLETION = ("--shell-completion", "-sc")
VALUED = (
    "--cfg",
    "-c",
    "--package",
    "-p",
    "--info",
    "-i",
    "--experimental-rerun",
    "--config-dir",
    "-cd",
    *COMPLETION,
)
"""Flags that take the next word as their value."""
PREFIX = re.compile(r"\+\+|\+|~|")


@dataclass(frozen=True)
class Override:
    """One override of a command line, for instance ``optimizer.beta1=0.8``.

    Args:
        prefix: ``""``, ``"+"``, ``"++"`` or ``"~"``, with Hydra's meaning.
        key: a key of the configuration, or a group.
        value: the text after ``=``; ``None`` if there is no ``=``.
    """

    prefix: str
    key: str
    value: str | None

    @classmethod
    def parse(cls, text: str) -> Override:
        prefix = PREFIX.match(text)
        assert prefix is not None  # the pattern also matches the empty string
        key, equals, value = text[prefix.end() :].partition("=")
        return cls(prefix[0], key, value if equals else None)

    def __str__(self) -> str:
        return self.prefix + self.key + ("" if self.value is None else f"={self.value}")

    @property
    def root(self) -> str:
        """The first part of the key."""
        return self.key.partition(".")[0]

    def for_hydra(self) -> str:
        """The override as Hydra needs it. An entry of an open dictionary gets the prefix ``++``."""
        return f"++{self.key}={self.value}" if self.root in OPEN_DICTS and not self.prefix else str(self)


@dataclass(frozen=True)
class CommandLine:
    """A command line that trains: Hydra's flags and the overrides, each in the order given."""

    flags: list[str] = field(default_factory=list)
    overrides: list[Override] = field(default_factory=list)

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> CommandLine:
        """Divide the words of a command line into flags and overrides.

        Raises:
            UsageError: a flag does not exist.
        """
        flags: list[str] = []
        overrides: list[Override] = []
        for word in arguments:
            if word.startswith("-") or (flags and flags[-1] in VALUED):
                name = word.partition("=")[0]
                if name.startswith("--") and name not in FLAGS:
                    raise UsageError(
                        f"there is no option {name}; settings are key=value; {nearest(name, FLAGS)}"
                    )
                flags.append(word)
            else:
                overrides.append(Override.parse(word))
        return cls(flags, overrides)

    @property
    def is_sweep(self) -> bool:
        return any(flag in MULTIRUN for flag in self.flags)

    @property
    def only_shows(self) -> bool:
        """Whether a flag asks to show something instead of running it."""
        return any(flag not in MULTIRUN for flag in self.flags)

    def last(self, key: str) -> str | None:
        """The last value given for a key, which is the one that counts; ``None`` if the key is not given."""
        return next((o.value for o in reversed(self.overrides) if o.key == key), None)

    def without(self, *keys: str) -> list[Override]:
        """The overrides of all other keys."""
        return [override for override in self.overrides if override.key not in keys]

    def for_hydra(self) -> list[str]:
        """The words for Hydra, which expects ``--multirun`` first."""
        return [*self.flags, *(override.for_hydra() for override in self.overrides)]


def own_overrides(overrides: Iterable[str]) -> list[str]:
    """The overrides that define the experiment, as a person gives them. A continuation has the same ones."""
    parsed = [Override.parse(text) for text in overrides]
    own = [override for override in parsed if override.key not in (PARENT, "resume")]
    return [str(o).removeprefix("++") for o in own]
