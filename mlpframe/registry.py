"""Registries: the component classes by name, and the options of each class.

A registry stores each class under its name and reads the options from the class. The keyword-only arguments
of ``__init__`` give the name, type and default of each option; the docstring explains the option. Nothing is
declared twice.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from pathlib import Path
from textwrap import dedent
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

KINDS = (
    "layer",
    "loss",
    "optimizer",
    "schedule",
    "dataset",
    "model",
    "transform",
    "initializer",
    "metric",
    "callback",
    "engine",
)

REQUIRED: Any = inspect.Parameter.empty


class UsageError(Exception):
    """A wrong request. The message says what was given, what was expected, and the nearest valid name."""


class UnknownName(UsageError, KeyError):
    """A request for a name that does not exist."""

    def __str__(self) -> str:  # KeyError would print the message in quotes
        return str(self.args[0])


def nearest(misspelled: str, known: Iterable[str]) -> str:
    """The end of an error message: the names in ``known`` that are closest to ``misspelled``.

    If no name is close, the message lists all names, but at most 20.
    """
    names = sorted(known)
    lower = {name.lower(): name for name in names}
    close = [lower[match] for match in difflib.get_close_matches(misspelled.lower(), lower, n=3, cutoff=0.6)]
    if close:
        return f"nearest: {', '.join(close)}"
    if not names:
        return "there are none"
    if len(names) <= 20:
        return f"known: {', '.join(names)}"
    return f"known: {', '.join(names[:20])}, … ({len(names)} in all)"


@dataclass(frozen=True)
class Option:
    """One option of a component: a keyword-only argument of its ``__init__``."""

    name: str
    type: Any
    default: Any = REQUIRED
    doc: str = ""


@dataclass(frozen=True)
class Info:
    """What the registry knows about a component without running the component."""

    kind: str
    name: str
    cls: type
    file: Path
    line: int
    provider: str
    summary: str
    formula: str
    source: str
    options: tuple[Option, ...]
    textbook: str
    """The source code of the textbook form; empty if the component has no textbook form."""


@dataclass(frozen=True)
class Broken:
    """A plugin file that could not be loaded, and why."""

    name: str
    file: str
    provider: str
    error: str


def type_name(kind: Any) -> str:
    """The name of a type in error messages and help."""
    parts = get_args(kind) if isinstance(kind, UnionType) or get_origin(kind) is Union else (kind,)
    if any(get_origin(part) is Mapping for part in parts):  # the type Spec: a component's name or mapping
        return "a name or a mapping" + " or null" * (type(None) in parts)
    names = ["null" if part is type(None) else getattr(part, "__name__", str(part)) for part in parts]
    return " or ".join(names)


def _configurable(kind: Any) -> bool:
    """Whether a configuration can hold values of this type."""
    plain = get_origin(kind) or kind
    if plain is UnionType or plain is Union:
        return all(_configurable(part) for part in get_args(kind))
    if plain in (Any, list, dict, Mapping, type(None), bool, int, float, str, Path):
        return True
    return isinstance(plain, type) and issubclass(plain, Enum)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value has an option's type. A whole number fits ``float``, and a bool fits only ``bool``."""
    if isinstance(kind, UnionType) or get_origin(kind) is Union:
        return any(_fits(value, part) for part in get_args(kind))
    plain = get_origin(kind) or kind
    if plain is Any or not isinstance(plain, type):
        return True
    # where a component's name or mapping is expected, the component itself is accepted too
    if plain is Mapping and getattr(value, "kind", None) in KINDS:
        return True
    if isinstance(value, bool) or plain is bool:
        return plain is bool and isinstance(value, bool)
    if plain is float:
        return isinstance(value, int | float)
    return isinstance(value, list | tuple if plain in (list, tuple) else plain)


def docstring_parts(text: str) -> tuple[str, str, dict[str, str], str]:
    """Split a component's docstring into summary, formula, option texts and source."""
    text = inspect.cleandoc(text)
    summary, _, after_summary = text.partition("\n")
    body, _, source = after_summary.partition("Source:")
    formula, _, block = body.partition("Options:")
    options: dict[str, str] = {}
    name = ""
    for line in block.splitlines():
        option_start = re.match(r"    (\w+): (.*)", line)
        if option_start:
            name = option_start[1]
            options[name] = option_start[2].strip()
        elif name and line.startswith("      "):
            options[name] += " " + line.strip()
        else:
            name = ""
    return summary.strip(), formula.strip(), options, " ".join(source.split())


_options: dict[type, tuple[Option, ...]] = {}
"""Cache of ``options_of``, because reading a signature takes a third of a millisecond."""


def options_of(cls: type) -> tuple[Option, ...]:
    """The options of a component class: its own, then the options that all components of its kind have."""
    if cls not in _options:
        _options[cls] = _read_options(cls)
    return _options[cls]


def _read_options(cls: type) -> tuple[Option, ...]:
    hints = get_type_hints(inspect.getattr_static(cls, "__init__"))
    texts = {}
    for base in reversed(cls.__mro__):  # a base class may explain the options that its subclasses share
        texts.update(docstring_parts(base.__doc__ or "")[2])
    own_options = []
    for name, argument in list(inspect.signature(cls).parameters.items()):
        if argument.kind is not inspect.Parameter.KEYWORD_ONLY or name not in hints:
            raise TypeError(f"{cls.__name__}.__init__: option {name!r} must be keyword-only and typed")
        if not _configurable(hints[name]):
            raise TypeError(
                f"{cls.__name__}: option {name!r} of type {type_name(hints[name])} cannot be configured; "
                f"expected bool, int, float, str, list, dict, an Enum, or a Spec"
            )
        own_options.append(Option(name, hints[name], argument.default, texts.get(name, "")))
    shared = getattr(cls, "shared", None)
    if shared is None:
        return tuple(own_options)
    hints = get_type_hints(type(shared))
    _, _, texts, _ = docstring_parts(type(shared).__doc__ or "")
    return tuple(own_options) + tuple(
        Option(field.name, hints[field.name], getattr(shared, field.name), texts.get(field.name, ""))
        for field in fields(shared)
    )


def shared_options(cls: type) -> frozenset[str]:
    """The names of the options that all components of the class's kind share."""
    shared = getattr(cls, "shared", None)
    return frozenset() if shared is None else frozenset(field.name for field in fields(shared))


def textbook_source(cls: Any) -> str:
    """The source code of a component's textbook form, not indented; empty if there is no textbook form."""
    if not hasattr(cls, "has_textbook_form") or not cls.has_textbook_form():
        return ""
    return dedent(inspect.getsource(cls.textbook))


class Registry:
    """The components of one kind by name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type] = {}
        self._providers: dict[str, str] = {}

    def add(self, name: str, cls: type, provider: str) -> None:
        """Register ``cls`` under ``name``. If the name is taken, raises ``UsageError`` with both files."""
        options_of(cls)  # a signature that cannot be configured is refused now, not during a run
        if name in self._classes:
            files = [inspect.getsourcefile(known) for known in (self._classes[name], cls)]
            raise UsageError(
                f"{self.kind} {name!r} is registered twice: in {files[0]} and in {files[1]}; rename one"
            )
        self._classes[name] = cls
        self._providers[name] = provider

    def forget(self, module: str) -> None:
        """Remove the components that ``module`` registered before its import failed."""
        for name in [name for name, cls in self._classes.items() if cls.__module__ == module]:
            del self._classes[name], self._providers[name]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._classes)

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def __getitem__(self, name: str) -> type:
        if name in self._classes:
            return self._classes[name]
        for broken in registries.broken:
            if broken.name == name and Path(broken.file).parent.name not in set(KINDS) - {self.kind}:
                raise UnknownName(f"{self.kind} {name!r} could not be loaded ({broken.file}): {broken.error}")
        raise UnknownName(f"there is no {self.kind} {name!r}; {nearest(name, self.names())}")

    def create(self, spec: str | Mapping[str, Any], /, **options: Any) -> Any:
        """Create a component from its name, or from a mapping with the key ``name`` and options.

        If ``spec`` is already a component of this kind, it is returned unchanged.

        Raises:
            UsageError: unknown name or option, or a value that the component refuses.
        """
        if getattr(spec, "kind", None) == self.kind and not isinstance(spec, type):
            return spec
        if not isinstance(spec, str):
            if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
                raise UsageError(f"{self.kind} must be a name or a mapping with the key 'name', not {spec!r}")
            remaining = dict(spec)
            return self.create(remaining.pop("name"), **remaining, **options)
        cls = self[spec]
        known = {option.name: option for option in options_of(cls)}
        for name in options:
            if name not in known:
                raise UsageError(f"{self.kind} {spec!r} has no option {name!r}; {nearest(name, known)}")
        for name, option in known.items():
            if option.default is REQUIRED and name not in options:
                raise UsageError(f"{self.kind} {spec!r} needs its option {name!r}: {option.doc}")
            if name in options and not _fits(options[name], option.type):
                raise UsageError(
                    f"{self.kind} {spec!r}: {name} must be {type_name(option.type)}, not {options[name]!r}"
                )
        shared = getattr(cls, "shared", None)
        common = shared_options(cls)
        own = {name: value for name, value in options.items() if name not in common}
        try:
            component: Any = object.__new__(cls)
            if shared is not None:  # before __init__, so that __init__ can refuse a combination of options
                component.shared = replace(
                    shared, **{name: options[name] for name in options if name in common}
                )
            component.__init__(**own)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{self.kind} {spec!r}: {error}") from error
        return component

    def summary(self, name: str) -> str:
        """The first line of a component's help. Faster than ``info``, which also reads the source code."""
        return (self[name].__doc__ or "").strip().partition("\n")[0]

    def provider(self, name: str) -> str:
        """The provider of a component: ``built-in``, a folder or a package."""
        return self._providers[name]

    def info(self, name: str) -> Info:
        """What the command ``list`` and the documentation show about a component."""
        cls = self[name]
        summary, formula, _, source = docstring_parts(cls.__doc__ or "")
        file = Path(inspect.getsourcefile(cls) or "?")
        line = inspect.getsourcelines(cls)[1]
        provider = self._providers[name]
        options, textbook = options_of(cls), textbook_source(cls)
        return Info(self.kind, name, cls, file, line, provider, summary, formula, source, options, textbook)


class Registries(Mapping[str, Registry]):
    """The registries by kind, the plugins that failed to load, and the provider whose plugins are loading."""

    def __init__(self) -> None:
        self._kinds = {kind: Registry(kind) for kind in KINDS}
        self.broken: list[Broken] = []
        self.provider = "built-in"

    def __getitem__(self, kind: str) -> Registry:
        if kind not in self._kinds:
            raise UnknownName(f"there is no kind {kind!r}; {nearest(kind, self._kinds)}")
        return self._kinds[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)


registries = Registries()
