"""Checks, the components that they are run on, and their outcomes."""

from __future__ import annotations

import inspect
import random
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unittest import SkipTest

import numpy as np

from ..api import Array, UsageError
from ..discovery import load_path, load_plugins
from ..registry import KINDS, REQUIRED, nearest, options_of, registries

UNITS = 3
"""The value for an option ``units``, which a model otherwise sets."""
PLACEHOLDERS: dict[Any, Any] = {str: "a", int: 1, float: 0.5, bool: False}
"""Values for a component's required options, by type, while a check tests another option."""


DRAW = "draw from the generator that the component is given"
PROPER_NAMES = {"json": "JSON", "nan": "NaN", "numpy": "NumPy", "rosenbrock": "Rosenbrock"}
"""How titles spell words that the names of check functions write in lower case."""


class Skipped(SkipTest):
    """Raised with the reason if a check of a component cannot be made. pytest then reports a skipped test."""


@dataclass(frozen=True)
class Subject:
    """A component and the options that it is checked with."""

    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cls(self) -> type[Any]:
        return registries[self.kind][self.name]

    def create(self, **more: Any) -> Any:
        """Create a new instance. Sets the option ``units`` if the component has this option."""
        options = {**self.options, **more}
        if self.has("units"):
            options.setdefault("units", UNITS)
        return registries[self.kind].create(self.name, **options)

    def has(self, option: str) -> bool:
        return any(own_option.name == option for own_option in options_of(self.cls))


@dataclass(frozen=True)
class Check:
    """A fact that holds for every component of some kinds.

    Args:
        name: the name of the check's function.
        fact: the docstring of the function.
        kinds: the kinds of components that the fact holds for.
        run: raises ``AssertionError`` if the fact does not hold, or ``Skipped`` if the check cannot be made.
        on_class: whether the fact concerns only the class, and not its instances.
        on_options: whether the fact concerns only the creation of instances.
    """

    name: str
    fact: str
    kinds: tuple[str, ...]
    run: Callable[[Subject], None]
    on_class: bool = False
    on_options: bool = False

    @property
    def title(self) -> str:
        """The name with spaces between its words, and with capital letters in proper names."""
        return " ".join(PROPER_NAMES.get(word, word) for word in self.name.split("_"))


_checks: list[Check] = []
F = TypeVar("F", bound=Callable[[Subject], None])


def check(*kinds: str, on_class: bool = False, on_options: bool = False) -> Callable[[F], F]:
    """Make the decorated function a check of ``kinds``, or of all kinds if no kind is named."""

    def add(function: F) -> F:
        name, fact = function.__name__, (function.__doc__ or "").strip()
        _checks.append(Check(name, fact, kinds or KINDS, function, on_class, on_options))
        return function

    return add


def checks(kind: str | None = None) -> list[Check]:
    """The checks of a kind; ``None``: all checks."""
    return [entry for entry in _checks if kind is None or kind in entry.kinds]


@dataclass(frozen=True)
class Case:
    """One check of one component. Calling the case may raise ``AssertionError`` or ``Skipped``."""

    kind: str
    name: str
    check: Check

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.check.title}"

    def __call__(self) -> None:
        skipped = []
        for subject in self._subjects():
            try:
                with np.errstate(all="ignore"):
                    self.check.run(subject)
            except Skipped as reason:
                skipped.append(reason)
            except AssertionError as error:
                if subject.options:
                    raise AssertionError(f"with {dict(subject.options)}: {error}") from error
                raise
        if skipped:
            raise skipped[0]

    def outcome(self) -> Outcome:
        """Run the check and return the outcome. Every error that the component raises is a failure."""
        try:
            self()
        except Skipped as reason:
            return Outcome(self, "skipped", str(reason))
        except AssertionError as error:
            return Outcome(self, "failed", str(error))
        except UsageError as error:
            return Outcome(self, "failed", str(error))
        except Exception as error:
            text = " ".join(str(error).split())
            return Outcome(self, "failed", f"{type(error).__name__}: {text} ({self._place(error)})")
        return Outcome(self, "ok")

    def _place(self, error: Exception) -> str:
        """Where an error arose, as file:line: the last line in the component's own file, or the last line."""
        frames = traceback.extract_tb(error.__traceback__)
        own = inspect.getsourcefile(registries[self.kind][self.name])
        frame = next((candidate for candidate in reversed(frames) if candidate.filename == own), frames[-1])
        return f"{frame.filename}:{frame.lineno}"

    def _subjects(self) -> list[Subject]:
        """The component, once for each set of options that the check is run with."""
        if self.check.on_class:
            return [Subject(self.kind, self.name)]
        return subjects(self.kind, self.name, placeholders=self.check.on_options)


def subjects(kind: str, name: str, *, placeholders: bool = False) -> list[Subject]:
    """A component with its defaults, and with the options of each of its ``examples``.

    Args:
        kind, name: the component's kind and name.
        placeholders: whether required options may get any value of their type.
    """
    plain = Subject(kind, name)
    examples = [Subject(kind, name, option) for option in getattr(plain.cls, "examples", ())]
    required = {option.name: option for option in options_of(plain.cls) if option.default is REQUIRED}
    if not required.keys() - {"units"}:
        return [plain, *examples]
    if examples:
        return examples
    if placeholders and all(option.type in PLACEHOLDERS for option in required.values()):
        return [Subject(kind, name, {k: PLACEHOLDERS[option.type] for k, option in required.items()})]
    raise Skipped(
        f"{', '.join(required)} must be given; set the class attribute examples = ({{…}},) to options to try"
    )


@dataclass(frozen=True)
class Outcome:
    """The outcome of a case: ``ok``, ``failed`` or ``skipped``, and the reason."""

    case: Case
    status: str
    reason: str = ""


def cases(components: Iterable[tuple[str, str]]) -> list[Case]:
    """Every check of every component in ``components``, which holds pairs (kind, name)."""
    return [Case(kind, name, entry) for kind, name in components for entry in checks(kind)]


def plugin_cases(path: Path) -> list[Case]:
    """Every check of every component that a plugin file or folder provides.

    Raises:
        UsageError: the file does not exist, cannot be loaded, or provides no component.
    """
    return cases(load_path(path))


def find_components(request: str) -> list[tuple[str, str]]:
    """The components that ``request`` selects: a plugin's file or folder, a name, kind/name, a kind, or all.

    Raises:
        UsageError: ``request`` selects no component.
    """
    load_plugins()
    kind, _, name = request.partition("/")
    if kind in KINDS and name and not Path(request).exists():
        registries[kind][name]
        return [(kind, name)]
    if request.endswith(".py") or "/" in request:
        return load_path(Path(request))
    known = [(kind, name) for kind in KINDS for name in registries[kind].names()]
    if request == "all":
        return known
    components = [component for component in known if request in component]
    if not components and Path(request).is_dir():
        return load_path(Path(request))
    for broken in registries.broken:
        if not components and broken.name == request:
            raise UsageError(f"{request} could not be loaded ({broken.file}): {broken.error}")
    if not components:
        names = {*KINDS, *(name for _, name in known)}
        raise UsageError(f"there is no component or file {request!r}; {nearest(request, names)}")
    return components


# --- saying what is wrong ------------------------------------------------------------------------


def require(holds: object, message: str) -> None:
    """Raise ``AssertionError`` with the message if ``holds`` is false, even if Python runs with ``-O``."""
    if not holds:
        raise AssertionError(message)


def require_fast_form(subject: Subject) -> None:
    """Skip a check of memory if the component has only a textbook form, which may allocate arrays."""
    if not subject.cls.has_fast_form():
        raise Skipped("the component has only a textbook form, which may allocate")


def require_close(
    label: str, actual: Array, expected: Array, *, rtol: float = 0.0, atol: float = 0.0, where: Any = None
) -> None:
    """Raise ``AssertionError`` with the worst element if elements differ by more than the tolerances.

    Without tolerances, the arrays must have the same bits.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    require(
        actual.shape == expected.shape, f"{label} has the shape {actual.shape}, expected {expected.shape}"
    )
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected) & (rtol == atol == 0))
    with np.errstate(all="ignore"):
        excess = np.abs(actual - expected) - rtol * np.abs(expected) - atol
    wrong = ~same & ~(excess <= 0) if rtol or atol else ~same
    if where is not None:
        wrong &= where
    if wrong.any():
        worst = np.unravel_index(
            int(np.argmax(np.where(wrong, np.nan_to_num(excess, nan=np.inf), -1))), wrong.shape
        )
        at = f"[{', '.join(map(str, worst))}]" if worst else ""
        name, bracket, words = label.partition(" (")
        extent = f"; {np.count_nonzero(wrong)} of {wrong.size} elements are wrong" if wrong.size > 1 else ""
        raise AssertionError(
            f"{name}{at} is {actual[worst]:.8g}, expected {expected[worst]:.8g}{bracket}{words}{extent}"
        )


def require_finite(label: str, *arrays: Any) -> None:
    for array in arrays:
        wrong = ~np.isfinite(np.asarray(array))
        require(not wrong.any(), f"{label}: {np.count_nonzero(wrong)} of {wrong.size} numbers are not finite")


@contextmanager
def own_randomness() -> Iterator[None]:
    """Raise ``AssertionError`` if the ``with`` statement uses a global generator of NumPy or Python."""
    legacy, python = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002 - to detect its use
    yield
    now = np.random.get_state(legacy=False)  # noqa: NPY002
    same = (
        np.array_equal(legacy["state"]["key"], now["state"]["key"])
        and legacy["state"]["pos"] == now["state"]["pos"]
    )
    require(same, f"NumPy's global generator was used; {DRAW}")
    require(random.getstate() == python, f"Python's global generator was used; {DRAW}")


@contextmanager
def raising(label: str) -> Iterator[None]:
    """Turn an overflow, invalid operation or division by 0 into an ``AssertionError``."""
    try:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            yield
    except FloatingPointError as error:
        place = re.sub(r"^.*/", "", traceback.extract_tb(error.__traceback__)[-1].filename)
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        raise AssertionError(f"{label}: {error} ({place}:{line}); compute it in a stable form") from error
