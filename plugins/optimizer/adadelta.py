"""The optimizer ``adadelta``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("adadelta")
class AdaDelta(Optimizer):
    """AdaDelta: steps in the units of the weights, from running means of squared gradients and steps.

    s ← ρ s + (1 − ρ) g²,  Δ = g √(d + ε) / √(s + ε),  d ← ρ d + (1 − ρ) Δ²,  w ← w − η Δ

    ε stands inside both roots, as in the paper. The paper has no η; here η is 1 unless it is set. The slots
    hold s + ε and d + ε.

    Options:
        decay: ρ, at least 0 and below 1.
        epsilon: ε, at least 1e-30; √ε sets the order of magnitude of the first steps.

    Source: Zeiler 2012, "ADADELTA: An adaptive learning rate method".
    """

    default_lr = 1.0
    slots = ("s_epsilon", "d_epsilon")

    def __init__(self, *, decay: float = 0.95, epsilon: float = 1e-6) -> None:
        check_range("decay", decay, minimum=0, below=1)
        check_range("epsilon", epsilon, minimum=1e-30)
        self.decay, self.epsilon = decay, epsilon

    def begin(self, w: Array, slots: Mapping[str, Array]) -> None:
        for name in self.slots:
            slots[name].fill(self.epsilon)

    def textbook(self, w: Array, g: Array, lr: float, t: int, S: Array, D: Array) -> tuple[Array, ...]:
        S = self.decay * S + (1 - self.decay) * (g**2 + self.epsilon)  # s + ε
        delta = g * np.sqrt(D) / np.sqrt(S)
        D = self.decay * D + (1 - self.decay) * (delta**2 + self.epsilon)  # d + ε
        return w - lr * delta, S, D

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        # With S = s + ε and D = d + ε, which obey S ← ρ S + (1 − ρ) (g² + ε) and the like, Δ² = D g² / S and
        # D ← D (ρ + (1 − ρ) g² / S) + (1 − ρ) ε: Δ is not needed after w, and one intermediate is enough.
        S, D, rho = slots["s_epsilon"], slots["d_epsilon"], self.decay
        square = ratio = delta = factor = scratch  # names for its successive contents
        np.multiply(g, g, square)
        np.add(square, self.epsilon, square)
        np.multiply(square, 1 - rho, square)
        np.multiply(S, rho, S)
        np.add(S, square, S)
        np.divide(D, S, ratio)
        np.sqrt(ratio, ratio)
        np.multiply(ratio, g, delta)
        np.multiply(delta, lr, delta)
        np.subtract(w, delta, w)
        np.multiply(g, g, square)
        np.divide(square, S, factor)
        np.multiply(factor, 1 - rho, factor)
        np.add(factor, rho, factor)
        np.multiply(D, factor, D)
        np.add(D, (1 - rho) * self.epsilon, D)
