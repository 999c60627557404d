"""Shared code of the optimizers that wrap another optimizer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Optimizer, Spec, UpdateRules, registries


class Wrapper(Optimizer):
    """Runs an inner optimizer and adds a slot that starts as the weights and is evaluated in their place.

    Options:
        inner: the optimizer that is wrapped, a name or a mapping with name and options. Set weight
            decay, clipping and learning-rate factors as options of the wrapper, not inside inner.
    """

    def __init__(self, inner: Spec, slot: str) -> None:
        optimizer: Optimizer = registries["optimizer"].create(inner)
        defaults = vars(UpdateRules())
        own_rules = [
            f"{rule}={value}" for rule, value in vars(optimizer.shared).items() if value != defaults[rule]
        ]
        if own_rules:
            raise ValueError(
                f"inner={optimizer.name} sets {', '.join(own_rules)}; set these options beside inner, "
                f"not inside inner"
            )
        if optimizer.scope == "search" or optimizer.evaluated is not None:
            raise ValueError(
                f"inner must be an optimizer that neither evaluates the loss nor averages weights, "
                f"not {optimizer.name}"
            )
        self.inner, self.evaluated = optimizer, slot
        self.slots, self.scope, self.default_lr = (
            (*optimizer.slots, slot),
            optimizer.scope,
            optimizer.default_lr,
        )

    def begin(self, w: Array, slots: Mapping[str, Array]) -> None:
        self.inner.begin(w, slots)
        if self.evaluated is not None:
            np.copyto(slots[self.evaluated], w)

    def inner_textbook(self, w: Array, g: Array, lr: float, t: int, *slots: Array) -> tuple[Array, ...]:
        """What the textbook form of the inner optimizer returns: the new weights, then its new slots."""
        new = self.inner.textbook(w, g, lr, t, *slots)
        return new if isinstance(new, tuple) else (new,)
