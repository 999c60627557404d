"""The words of a command line: flags of Hydra, and overrides ``key=value``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from os import PathLike
from typing import Any

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
"""The key whose value tells the jobs of a sweep the id of the sweep's run in MLflow."""


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
PLAIN = re.compile(r"(?!(null|true|false|nan|inf)$)[a-z_][\w./-]*", re.IGNORECASE | re.ASCII)
"""Matches texts that Hydra reads as the same text with and without quotes."""


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
    """The command line of a training: the flags of Hydra and the overrides, each in their order."""

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
        """The words in the order that Hydra expects: flags first, then overrides."""
        return [*self.flags, *(override.for_hydra() for override in self.overrides)]


def own_overrides(overrides: Iterable[str]) -> list[str]:
    """The overrides that define the experiment, without those that continue a run or belong to a sweep."""
    parsed = [Override.parse(text) for text in overrides]
    own = [override for override in parsed if override.key not in (PARENT, "resume")]
    return [str(o).removeprefix("++") for o in own]


def from_settings(settings: Mapping[str, Any], groups: Iterable[str]) -> list[str]:
    """Settings in Python as overrides: ``epochs=5``, ``optimizer="adam"``, ``model={"hidden": [64]}``.

    Args:
        settings: values by root key. The value of a group is a component's name, or its options as a mapping,
            in which ``name`` chooses the component.
        groups: the root keys that are groups.

    Raises:
        UsageError: a value is of a type that a configuration cannot hold.
    """
    overrides: list[str] = []
    for key, value in settings.items():
        if key in groups and isinstance(value, Mapping):
            options = dict(value)
            if "name" in options:
                overrides.append(_override(key, options.pop("name")))
            overrides += [_override(f"{key}.{option}", each) for option, each in options.items()]
        else:
            overrides.append(_override(key, value))
    return overrides


def _override(key: str, value: Any) -> str:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Override as HydraOverride
    from hydra.errors import HydraException

    plain = _plain(key, value)
    text = f"{key}={HydraOverride._get_value_element_as_str(_quoted(plain))}"
    try:
        same = OverridesParser.create().parse_override(text).value() == plain
    except HydraException:
        same = False
    if not same:  # Hydra cannot read, for example, a key of a mapping that contains quotes
        raise UsageError(f"{key}={value!r} cannot be written as a setting; use simple keys and numbers")
    return text


def _plain(key: str, value: Any) -> Any:
    """Convert a value to text, a number, a truth value, ``None``, or lists and mappings of these."""
    if hasattr(value, "tolist"):  # an array or a number of NumPy
        value = value.tolist()
    if isinstance(value, Enum):
        value = value.name
    if isinstance(value, PathLike):
        value = str(value)
    if isinstance(value, str):
        return re.sub(r"(\\*)\$\{", r"\1\1\\${", value)  # OmegaConf would replace ${key} by another setting
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {name: _plain(f"{key}.{name}", each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(key, each) for each in value]
    raise UsageError(f"{key}: expected text, numbers, None, or lists and mappings of these, not {value!r}")


def _quoted(value: Any) -> Any:
    from hydra.core.override_parser.types import Quote, QuotedString

    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else QuotedString(value, Quote.single)
    if isinstance(value, dict):
        return {name: _quoted(each) for name, each in value.items()}
    return [_quoted(each) for each in value] if isinstance(value, list) else value
