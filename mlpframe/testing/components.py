"""Checks of every component: its configuration, its options, its help, its random numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any, get_args

from ..api import UsageError
from ..registry import Option, docstring_parts, options_of, registries
from .gradients import watched_bindings
from .kit import Skipped, Subject, check, own_randomness, require

FORMULA = ("layer", "loss", "optimizer", "schedule", "initializer", "metric")
"""The kinds of components that compute a formula. The help of such a component shows its formula."""
EQUATION = re.compile(r"[=←~≈∈≤≥∝]")
BOUND = re.compile(
    r"(?P<words>at least|more than|above|at most|less than|below|≥|>|≤|<) ?"
    r"(?P<number>-?\d[\d_.]*(?:e-?\d+)?)(?![\w.]*\d)(?! (?:if|where|when|unless|with) )"
)
NAN = float("nan")
LOWER, UPPER = ("at least", "≥"), ("at most", "≤")
STRICT_LOWER, STRICT_UPPER = ("more than", "above", ">"), ("less than", "below", "<")

EXERCISES: dict[str, Callable[[Subject], object]] = {}
"""For each kind, a function that calls most methods of a component."""


def exercise(kind: str) -> Callable[[Callable[[Subject], object]], Callable[[Subject], object]]:
    def add(function: Callable[[Subject], object]) -> Callable[[Subject], object]:
        EXERCISES[kind] = function
        return function

    return add


def own_options(subject: Subject) -> list[Option]:
    """The options in the component's own signature. Options that its whole kind shares are left out."""
    own = signature(subject.cls).parameters
    return [option for option in options_of(subject.cls) if option.name in own]


def takes(option: Option, kind: type) -> bool:
    """Whether an option accepts values of type ``kind``."""
    return option.type is kind or kind in get_args(option.type)


def refusal(subject: Subject, option: Option, value: Any) -> str | None:
    """The component's error message for a value; ``None`` if the component accepts the value."""
    try:
        subject.create(**{option.name: value})
    except UsageError as error:
        return str(error)
    except Exception as error:
        raise AssertionError(
            f"{option.name}={value!r} raises {type(error).__name__} ({error}); raise ValueError instead"
        ) from error
    return None


def require_refused(subject: Subject, option: Option, value: Any, expected: str) -> None:
    message = refusal(subject, option, value)
    require(
        message is not None,
        f"{option.name}={value!r} is accepted, but {expected} (use check_range in __init__)",
    )
    require(
        option.name in (message or "").partition(":")[2],
        f"{option.name}={value!r} is refused, but the message does not name the option: {message}",
    )


@check()
def configuration_creates_the_component(subject: Subject) -> None:
    """The configuration derived from the types and defaults of the signature creates the component."""
    from ..config import typed

    options = dict(subject.options)
    if subject.has("units"):
        options.setdefault("units", 3)
    composed = typed(subject.kind, subject.kind, subject.name, options)
    composed.pop("name")
    component = registries[subject.kind].create(subject.name, **composed)
    require(
        isinstance(component, subject.cls),
        f"the registry creates a {type(component).__name__}, expected a {subject.cls.__name__}",
    )


@check(on_options=True)
def nan_is_refused(subject: Subject) -> None:
    """Every option that takes numbers refuses NaN, with an error that names the option."""
    for option in own_options(subject):
        if takes(option, float):
            require_refused(
                subject,
                option,
                NAN,
                "NaN must be refused, because every result would be NaN",
            )
        elif list[float] in (option.type, *get_args(option.type)) and isinstance(option.default, list):
            require_refused(subject, option, [NAN, *option.default[1:]], "NaN must be refused")


@check(on_options=True)
def documented_ranges_are_enforced(subject: Subject) -> None:
    """Every option refuses numbers outside the range in its help, with an error that names the option."""
    for option in own_options(subject):
        if takes(option, float) or takes(option, int):
            for value, words in beyond(option):
                require_refused(subject, option, value, f"its help says {words!r}")


def beyond(option: Option) -> Iterator[tuple[float, str]]:
    """Values outside the range that an option's help states, each with the help's text that forbids it."""
    make = float if takes(option, float) else int
    for bound_text in BOUND.finditer(option.doc):
        words, bound = bound_text["words"], float(bound_text["number"].rstrip("._"))
        if words in (*LOWER, *STRICT_LOWER):
            yield make(bound - 1), bound_text[0]
        if words in (*UPPER, *STRICT_UPPER):
            yield make(bound + 1), bound_text[0]
        if words in (*STRICT_LOWER, *STRICT_UPPER):
            yield make(bound), bound_text[0]


@check(on_class=True)
def help_begins_with_one_sentence(subject: Subject) -> None:
    """The docstring begins with one line that ends in a period, followed by a blank line."""
    lines = (subject.cls.__doc__ or "").splitlines()
    require(lines and lines[0].strip(), "the class has no docstring")
    require(
        lines[0].endswith("."),
        f"the docstring's first line must be a sentence that ends in a period, not {lines[0]!r}",
    )
    require(lines[1:2] in ([], [""]), f"the docstring's second line must be blank, not {lines[1:2]}")


@check(*FORMULA, on_class=True)
def help_has_a_formula(subject: Subject) -> None:
    """The paragraph after the docstring's first line holds the formula."""
    _, body, _, _ = docstring_parts(subject.cls.__doc__ or "")
    formula = body.split("\n\n")[0]
    require(
        EQUATION.search(formula),
        "the paragraph after the docstring's first line must hold a formula, such as: y = max(x, 0)",
    )


@check(on_class=True)
def help_explains_every_option(subject: Subject) -> None:
    """The docstring's section ``Options:`` describes every option, and nothing else."""
    _, _, texts, source = docstring_parts(subject.cls.__doc__ or "")
    names = [option.name for option in options_of(subject.cls)]
    missing = [option.name for option in options_of(subject.cls) if not option.doc]
    require(not missing, f"the docstring's section Options: does not explain {', '.join(missing)}")
    unknown = [name for name in texts if name not in names]
    require(
        not unknown,
        f"the docstring's section Options: explains {', '.join(unknown)}, but __init__ has no such option",
    )
    require(
        source or "Source:" not in (subject.cls.__doc__ or ""), "the docstring's section Source: is empty"
    )


@check()
def global_generators_are_not_used(subject: Subject) -> None:
    """Random numbers come from the generator that the component is given, never from a global generator."""
    if subject.kind not in EXERCISES:
        raise Skipped("components of this kind draw no random numbers")
    exercise = EXERCISES[subject.kind]
    try:
        with own_randomness():
            exercise(subject)
    except AssertionError:  # the first use may import a library, and the import itself may draw numbers
        with own_randomness():
            exercise(subject)


@check("layer", "engine")
def inner_components_get_contiguous_arrays(subject: Subject) -> None:
    """Layers and losses that the component binds get contiguous arrays that do not overlap."""
    with watched_bindings():
        EXERCISES[subject.kind](subject)
