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
        decay: ρ, decay of the two running means, at least 0 and below 1.
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
        S = self.decay * S + (1 - self.decay) * (g**2 + self.epsilon)  # S is s + ε
        delta = g * np.sqrt(D) / np.sqrt(S)
        D = self.decay * D + (1 - self.decay) * (delta**2 + self.epsilon)  # D is d + ε
        return w - lr * delta, S, D

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        # S = s + ε and D = d + ε follow S ← ρ S + (1 − ρ) (g² + ε) and D ← ρ D + (1 − ρ) (Δ² + ε). Since
        # Δ² = D g² / S, D ← D (ρ + (1 − ρ) g² / S) + (1 − ρ) ε. This form does not contain Δ. So Δ may be
        # overwritten once w is updated, and one scratch array is enough.
        S, D, rho = slots["s_epsilon"], slots["d_epsilon"], self.decay
        # Further names of the array ``scratch``: a name says what the array holds at that point.
        square = ratio = delta = factor = scratch
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
