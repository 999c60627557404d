"""What every component has in common: its registration, ranges of options, types of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import ge, gt, le, lt
from typing import Any, ClassVar, Literal, TypeVar

from numpy.typing import NDArray

from ..registry import UsageError, registries

Array = NDArray[Any]

Spec = str | Mapping[str, Any]  # a component by name, or a mapping with its name and options

Task = Literal["classification", "multilabel", "regression"]
"""What is predicted: one class for each row, any number of classes for each row, or values."""

C = TypeVar("C", bound=type[Any])


def register(name: str) -> Callable[[C], C]:
    """Register the decorated class under ``name``. The base class determines the kind."""

    def add(cls: C) -> C:
        if issubclass(cls, TwoForms) and not cls.has_a_form():
            raise UsageError(
                f"{cls.kind} {name!r} computes nothing: "
                f"the class {cls.__name__} must define the method textbook or {cls.fast[0]}"
            )
        cls.name = name
        registries[cls.kind].add(name, cls, registries.provider)
        return cls

    return add


class TwoForms:
    """A component that may be written twice: in a textbook form that is easy to read, and in a fast form.

    A component needs only the textbook form or the fast form. The base class of its kind makes the fast form
    from the textbook form. A subclass that rewrites one form of a component does not inherit the component's
    other form, which would compute something else. The subclass gets the base class's version of the other
    form. In the same way, a subclass that changes what is computed does not inherit the method ``onnx``.
    """

    kind: ClassVar[str]
    fast: ClassVar[tuple[str, ...]]
    """The methods of the fast form, the most important one first."""
    in_graph: ClassVar[tuple[str, ...]] = ()
    """The methods that ``onnx`` translates. A class that rewrites one of them does not inherit ``onnx``."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        base = cls._base()
        if base is cls:
            return
        parent: Any = super(cls, cls)
        inherits = [name for name in ("textbook", *cls.fast) if getattr(parent, name) is not vars(base)[name]]
        inherits_both = "textbook" in inherits and len(inherits) > 1
        writes_textbook, writes_fast = "textbook" in vars(cls), any(name in vars(cls) for name in cls.fast)
        if inherits_both and writes_textbook != writes_fast:
            for name in cls.fast if writes_textbook else ("textbook",):
                setattr(cls, name, vars(base)[name])
        if any(name in vars(cls) for name in cls.in_graph) and "onnx" not in vars(cls):
            own: Any = cls
            own.onnx = vars(base)["onnx"]

    @classmethod
    def _base(cls) -> type[TwoForms]:
        """The base class of the component's kind."""
        return next(base for base in cls.__mro__ if TwoForms in base.__bases__)

    @classmethod
    def _writes(cls, *methods: str) -> bool:
        """Whether the class overrides at least one of these methods of its kind's base class."""
        base = vars(cls._base())
        return any(getattr(cls, method) is not base[method] for method in methods)

    @classmethod
    def has_textbook_form(cls) -> bool:
        return cls._writes("textbook")

    @classmethod
    def has_fast_form(cls) -> bool:
        return cls._writes(*cls.fast)

    @classmethod
    def has_a_form(cls) -> bool:
        return cls._writes("textbook", *cls.fast)


def returned(name: str, form: str, value: object, expected: Sequence[str]) -> tuple[Any, ...]:
    """Check what a textbook form returned, and return it as a tuple of values.

    Args:
        name: the component's name.
        form: the function that returned ``value``.
        value: what the function returned.
        expected: a description of each value that the function has to return, for the message.

    Raises:
        UsageError: there are more or fewer values than descriptions, or a value is ``None``.
    """
    values = value if isinstance(value, tuple) else (value,)
    if len(values) != len(expected) or any(each is None for each in values):
        kind = f"{len(values)} values" if isinstance(value, tuple) else f"one {type(value).__name__}"
        words = f"({', '.join(expected)})" if len(expected) > 1 else expected[0]
        raise UsageError(f"{form} of {name!r} must return {words}, but it returns {kind}")
    return values


def check_range(
    name: str,
    value: float,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
) -> None:
    """Raise ``ValueError`` if the value is outside a bound; the message names option, bounds and value.

    NaN is outside every bound.
    """
    bounds = [
        ("at least", minimum, ge),
        ("more than", above, gt),
        ("at most", maximum, le),
        ("less than", below, lt),
    ]
    set_bounds = [(words, bound, holds) for words, bound, holds in bounds if bound is not None]
    if not all(holds(value, bound) for _, bound, holds in set_bounds):
        expected = " and ".join(f"{words} {bound}" for words, bound, _ in set_bounds)
        raise ValueError(f"{name} must be {expected}, not {value}")
