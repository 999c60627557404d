"""The optimizer ``adagrad``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("adagrad")
class AdaGrad(Optimizer):
    """AdaGrad: each weight's steps shrink with the squares of all its gradients so far.

    G ← G + g²,  w ← w − η g / (√G + ε)

    This is the paper's diagonal form. ε stands outside the root, as in PyTorch; Keras has it inside.

    Options:
        initial: the value of G before the first update, at least 0.
        epsilon: ε, which keeps the divisor above 0; at least 1e-30.

    Source: Duchi, Hazan, Singer 2011, "Adaptive subgradient methods for online learning and stochastic
    optimization".
    """

    default_lr = 0.01
    slots = ("squares",)

    def __init__(self, *, initial: float = 0.0, epsilon: float = 1e-10) -> None:
        check_range("initial", initial, minimum=0)
        check_range("epsilon", epsilon, minimum=1e-30)
        self.initial, self.epsilon = initial, epsilon

    def begin(self, w: Array, slots: Mapping[str, Array]) -> None:
        slots["squares"].fill(self.initial)

    def textbook(self, w: Array, g: Array, lr: float, t: int, G: Array) -> tuple[Array, ...]:
        G = G + g**2
        return w - lr * g / (np.sqrt(G) + self.epsilon), G

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        squares = slots["squares"]
        # Further names of the array ``scratch``: a name says what the array holds at that point.
        square = root = direction = scratch
        np.multiply(g, g, square)
        np.add(squares, square, squares)
        np.sqrt(squares, root)
        np.add(root, self.epsilon, root)
        np.divide(g, root, direction)
        np.multiply(direction, lr, direction)
        np.subtract(w, direction, w)
