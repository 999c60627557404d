"""What every component has in common: its registration, ranges of options, types of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Any, Literal, TypeVar

from numpy.typing import NDArray

from ..registry import registries

Array = NDArray[Any]

Spec = str | Mapping[str, Any]  # a component by name, or a mapping with its name and options

Task = Literal["classification", "regression"]

C = TypeVar("C", bound=type[Any])


def register(name: str) -> Callable[[C], C]:
    """Register the decorated class under ``name``; its base class says of which kind it is."""

    def add(cls: C) -> C:
        cls.name = name
        registries[cls.kind].add(name, cls, registries.provider)
        return cls

    return add


def check_range(
    name: str,
    value: float,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
) -> None:
    """Raise ``ValueError`` naming the option, its value and the bound it breaks (NaN breaks any)."""
    bounds = [
        ("at least", minimum, ge),
        ("more than", above, gt),
        ("at most", maximum, le),
        ("less than", below, lt),
    ]
    given = [(words, bound, holds) for words, bound, holds in bounds if bound is not None]
    if not all(holds(value, bound) for _, bound, holds in given):
        expected = " and ".join(f"{words} {bound}" for words, bound, _ in given)
        raise ValueError(f"{name} must be {expected}, not {value}")
