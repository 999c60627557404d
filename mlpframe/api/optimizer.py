"""What an optimizer implements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, ClassVar, Literal

import numpy as np

from ..registry import UsageError
from .component import Array, TwoForms, check_range


@dataclass(frozen=True)
class UpdateRules:
    """What every optimizer is driven with.

    Parameters are named as in ``0.linear.W``; a pattern may have ``*``, ``?`` and ``[…]``, as for files.

    Options:
        weight_decay: λ ≥ 0, applied to weights, not to biases.
        decoupled: false: coupled L2, g ← g + λ w before the update; true: w ← w − η λ w beside it.
        no_decay: patterns of parameters that have no weight decay, besides those that never have.
        clip_value: bring each element of the gradient into ± this value, > 0; null: never.
        clip_each: scale the gradient of each parameter array down to this Euclidean norm, > 0; null: never.
        clip_norm: scale the whole gradient down to this Euclidean norm, > 0; null: never.
        rates: factors ≥ 0 of the learning rate by pattern; where several match their product counts. 0
            freezes: neither updates nor decay change the parameter, and no norm counts its gradient.
    """

    weight_decay: float = 0.0
    decoupled: bool = False
    no_decay: list[str] = field(default_factory=list)
    clip_value: float | None = None
    clip_each: float | None = None
    clip_norm: float | None = None
    rates: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_range("weight_decay", self.weight_decay, minimum=0)
        for name in ("clip_value", "clip_each", "clip_norm"):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), above=0)
        for pattern, factor in self.rates.items():
            check_range(f"rates {pattern!r}", factor, minimum=0, below=float("inf"))

    @property
    def special(self) -> list[str]:
        """The rules in use that clip or single parameters out: all but the weight decay of all weights."""
        names = ("no_decay", "clip_value", "clip_each", "clip_norm", "rates")
        return [name for name in names if getattr(self, name) not in (None, [], {})]


class Optimizer(TwoForms):
    """An update rule on vectors.

    ``textbook`` is the rule as a textbook writes it, ``update`` the same for speed. One of them is enough.

    ``slots`` names its state vectors, each as long as the parameters and zero at first: what ``textbook``
    takes after ``t``, unless ``slots`` is set. With scope
    ``"element"`` every element's update depends on that element alone, so the driver may call it on
    any slice; with ``"tensor"`` it is called once for each parameter, with arrays of its shape. With
    ``"search"`` it evaluates the loss itself: ``search`` is called instead of ``update``, on one network.

    What the options decide may be set on the instance: ``default_lr``, ``slots``, ``scope``, ``evaluated``.
    All that an update depends on is in the slots and the number of the step.
    """

    kind: ClassVar[str] = "optimizer"
    fast: ClassVar[tuple[str, ...]] = ("update",)
    name: ClassVar[str]
    default_lr: float
    slots: tuple[str, ...] = ()
    scope: Literal["element", "tensor", "search"] = "element"
    shared: UpdateRules = UpdateRules()
    """The shared options as they are given; set before ``__init__``, which may refuse a combination."""
    evaluated: str | None = None
    """The slot that is evaluated and kept as the model, where those are not the weights that are trained."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        names = textbook_slots(cls)
        set_already = "slots" in vars(cls) or (cls.has_fast_form() and cls.slots)  # which update knows
        if "textbook" in vars(cls) and names and not set_already:
            cls.slots = names

    @classmethod
    def has_a_form(cls) -> bool:
        return super().has_a_form() or cls._writes("search")

    def begin(self, w: Array, slots: Mapping[str, Array]) -> None:
        """Give the slots, zero until now, their first values, from the first weights ``w``."""

    def textbook(
        self, w: Array, g: Array, lr: float, t: int, *slots: Any, **_: Any
    ) -> Array | tuple[Array, ...]:
        """The new weights; with them the new slots, as a tuple, where the rule has slots.

        Args:
            w, g: parameters and gradient, of one shape; not to be changed, as the slots.
            lr: the rate η at this step; for replicas whose rates differ, an array that broadcasts.
            t: the number of this update, from 1.
            slots: the state vectors, in the order of ``slots``; a rule names each.
        """
        raise NotImplementedError(f"the optimizer {self.name!r} has no textbook form")

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        """Change ``w`` and ``slots`` in place; ``g`` stays as it is.

        Where an optimizer has no ``update`` of its own, this one copies what its textbook form returns.

        Args:
            w, g, scratch: parameters, gradient, and room for one intermediate, all of one shape.
            slots: the state vectors by name.
            lr: the rate at this step; for replicas whose rates differ, an array that broadcasts.
            step: the number of this update, from 1.
        """
        if self.scope == "search":
            raise UsageError(
                f"optimizer={self.name} evaluates the loss itself, which only engine=numpy lets it do"
            )
        arrays = (w, *(slots[name] for name in self.slots))
        new = self.textbook(w, g, lr, step, *arrays[1:])
        # what is returned may be one of the arrays, which an earlier copy must not change
        values = [
            value.copy() if any(np.may_share_memory(value, array) for array in arrays) else value
            for value in (new if isinstance(new, tuple) else (new,))
        ]
        for array, value in zip(arrays, values, strict=True):
            np.copyto(array, value)

    def search(self, w: Array, g: Array, lr: float, evaluate: Callable[[], float]) -> None:
        """Change ``w`` in place to where the loss is lower; for the scope ``"search"``.

        Args:
            w, g: parameters and gradient, vectors.
            lr: the rate at this step.
            evaluate: writes the gradient at the present ``w`` into ``g`` and returns the loss there, both
                with coupled weight decay.
        """
        raise NotImplementedError

    def recurrence(self, lr: float) -> tuple[list[list[float]], list[float]] | None:
        """The update as a linear recurrence of a weight and its slots, z ← A z + B g with z = (w, slots).

        Returns ``(A, B)``, or ``None`` if the update is not linear in the gradient with these options.
        """
        return None


def textbook_slots(optimizer: type[Optimizer]) -> tuple[str, ...]:
    """What a textbook form calls its slots: the arguments after ``t`` that have no default."""
    arguments = list(signature(optimizer.textbook).parameters.values())[len(("self", "w", "g", "lr", "t")) :]
    plain = (one for one in arguments if one.kind is one.POSITIONAL_OR_KEYWORD and one.default is one.empty)
    return tuple(argument.name for argument in plain)
