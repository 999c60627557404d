"""What an optimizer implements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, ClassVar, Literal

import numpy as np

from ..registry import UsageError
from .component import Array, TwoForms, check_range, returned


@dataclass(frozen=True)
class UpdateRules:
    """Rules for every optimizer: weight decay, clipping, and learning rates of single parameters.

    A pattern selects parameters by name, for example ``0.linear.W``. A pattern may contain ``*``, ``?`` and
    ``[…]``, as for file names.

    Options:
        weight_decay: λ ≥ 0, applied to weights, not to biases.
        decoupled: false: coupled L2, g ← g + λ w before the update; true: w ← w − η λ w, separate from the
            update.
        no_decay: patterns of parameters without weight decay, in addition to those that never have weight
            decay.
        clip_value: limit each element of the gradient to ± this value, > 0; null: never.
        clip_each: scale the gradient of each parameter array down to this Euclidean norm, > 0; null: never.
        clip_norm: scale the whole gradient down to this Euclidean norm, > 0; null: never.
        rates: factors ≥ 0 of the learning rate, by pattern. If several patterns match, their factors are
            multiplied. 0 freezes a parameter: neither updates nor decay change the parameter, and no norm
            includes its gradient.
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
        """The rules in use that clip or select parameters: every rule except weight decay of all weights."""
        names = ("no_decay", "clip_value", "clip_each", "clip_norm", "rates")
        return [name for name in names if getattr(self, name) not in (None, [], {})]


class Optimizer(TwoForms):
    """An update rule on vectors.

    ``textbook`` is the rule as a textbook writes it; ``update`` computes the same faster. An optimizer needs
    only ``textbook`` or ``update``.

    ``slots`` names the optimizer's state vectors. Each slot is as long as the parameters and starts at zero.
    Unless ``slots`` is set, the slots are the arguments of ``textbook`` after ``t``.

    With scope ``"element"``, every element's update depends on that element alone, so ``update`` may be
    called on any slice. With ``"tensor"``, ``update`` is called once for each parameter, with arrays of the
    parameter's shape. With ``"search"``, the optimizer evaluates the loss itself: ``search`` is called
    instead of ``update``, on one network.

    ``default_lr``, ``slots``, ``scope`` and ``evaluated`` may be set on the instance if they depend on the
    options. An optimizer has no state but its slots and the number of the step.
    """

    kind: ClassVar[str] = "optimizer"
    fast: ClassVar[tuple[str, ...]] = ("update",)
    name: ClassVar[str]
    default_lr: float
    slots: tuple[str, ...] = ()
    scope: Literal["element", "tensor", "search"] = "element"
    shared: UpdateRules = UpdateRules()
    """Values of the options of every optimizer; set first, so that ``__init__`` can refuse a combination."""
    evaluated: str | None = None
    """The slot whose values are evaluated and saved as the model; ``None``: the trained weights."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        names = textbook_slots(cls)
        # a fast form uses the slots that the class already has, whatever the textbook form names
        set_already = "slots" in vars(cls) or (cls.has_fast_form() and cls.slots)
        if "textbook" in vars(cls) and names and not set_already:
            cls.slots = names

    @classmethod
    def has_a_form(cls) -> bool:
        return super().has_a_form() or cls._writes("search")

    def begin(self, w: Array, slots: Mapping[str, Array]) -> None:
        """Set the first values of the slots, which are zero before, from the initial weights ``w``."""

    def textbook(
        self, w: Array, g: Array, lr: float, t: int, *slots: Any, **_: Any
    ) -> Array | tuple[Array, ...]:
        """The new weights. If the rule has slots, a tuple of the new weights and the new slots.

        Args:
            w, g: parameters and gradient, of the same shape. Do not change ``w``, ``g`` or the slots.
            lr: the learning rate η at this step; an array that broadcasts if the replicas' learning rates
                differ.
            t: the number of this update, from 1.
            slots: the state vectors, in the order of the attribute ``slots``. A rule names each as an
                argument.
        """
        raise NotImplementedError(
            f"the optimizer {self.name!r} has no textbook form: define the method textbook"
        )

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        """Change ``w`` and ``slots`` in place; ``g`` stays as it is.

        If an optimizer does not define ``update``, this default copies the results of the textbook form into
        ``w`` and ``slots``.

        Args:
            w, g, scratch: parameters, gradient, and room for one intermediate result, all of the same shape.
            slots: the state vectors by name.
            lr: the learning rate at this step; an array that broadcasts if the replicas' learning rates
                differ.
            step: the number of this update, from 1.
        """
        if self.scope == "search":
            raise UsageError(
                f"optimizer={self.name} evaluates the loss itself, which only engine=numpy supports"
            )
        arrays = (w, *(slots[name] for name in self.slots))
        result = self.textbook(w, g, lr, step, *arrays[1:])
        expected = [f"the new {name}" for name in ("w", *self.slots)]
        new = returned(self.name, "textbook", result, expected)
        # a result may be a view of w or of a slot: writing the first result must not change the next result
        values = [
            value.copy() if any(np.may_share_memory(value, array) for array in arrays) else value
            for value in new
        ]
        for array, value in zip(arrays, values, strict=True):
            np.copyto(array, value)

    def search(self, w: Array, g: Array, lr: float, evaluate: Callable[[], float]) -> None:
        """Change ``w`` in place so that the loss becomes lower; for the scope ``"search"``.

        Args:
            w, g: parameters and gradient, vectors.
            lr: the learning rate at this step.
            evaluate: writes the gradient at the current ``w`` into ``g`` and returns the loss. Gradient and
                loss include coupled weight decay.
        """
        raise NotImplementedError(
            f"the optimizer {self.name!r} has the scope 'search', so it must define the method search"
        )

    def recurrence(self, lr: float) -> tuple[list[list[float]], list[float]] | None:
        """The update as a linear recurrence of a weight and its slots, z ← A z + B g with z = (w, slots).

        Returns ``(A, B)``, or ``None`` if the update is not linear in the gradient with these options.
        """
        return None


def textbook_slots(optimizer: type[Optimizer]) -> tuple[str, ...]:
    """The names of the slots in a textbook form: the arguments after ``t`` that have no default."""
    arguments = list(signature(optimizer.textbook).parameters.values())[len(("self", "w", "g", "lr", "t")) :]
    slot_arguments = (
        argument
        for argument in arguments
        if argument.kind is argument.POSITIONAL_OR_KEYWORD and argument.default is argument.empty
    )
    return tuple(argument.name for argument in slot_arguments)
