"""The optimizer ``schedule_free``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("schedule_free")
class ScheduleFree(Optimizer):
    """Schedule-free gradient descent: an average of the weights takes the place of a falling rate.

    g is taken at y = (1 − β) z + β x;  z ← z − η g,  x ← x + (z − x) / t

    The trained weights are y. The weights that are evaluated and saved are x, the mean of all z. t counts
    updates from 1. Only y and x are stored; z is (y − β x) / (1 − β). All z count equally in x, as in the
    paper. The authors' code weights z by η², which matters if η has a warm-up. Use coupled weight decay, as
    the authors do: decoupled decay moves y alone, and so moves z by 1 / (1 − β) times as much.

    Options:
        momentum: β, the share of x in y, at least 0 and below 1; 0 is Polyak's averaging.

    Source: Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky 2024, "The road less scheduled".
    """

    default_lr = 0.5
    slots = ("x",)
    evaluated = "x"

    def __init__(self, *, momentum: float = 0.9) -> None:
        check_range("momentum", momentum, minimum=0, below=1)
        self.momentum = momentum

    def begin(self, w: Array, slots: Mapping[str, Array]) -> None:
        np.copyto(slots["x"], w)

    def textbook(self, w: Array, g: Array, lr: float, t: int, x: Array) -> tuple[Array, ...]:
        y, beta = w, self.momentum
        z = (y - beta * x) / (1 - beta)
        z = z - lr * g
        x = x + (z - x) / t
        return (1 - beta) * z + beta * x, x

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        # Before the step, z − x = (y − x) / (1 − β). So x moves by d − η g / t with
        # d = (y − x) / (t (1 − β)). y moves by β times the move of x plus 1 − β times the move of z, which
        # is −η g.
        x, beta = slots["x"], self.momentum
        # Further names of the array ``scratch``: a name says what the array holds at that point.
        move = gradient_step = scratch
        np.subtract(w, x, move)
        np.multiply(move, 1 / (step * (1 - beta)), move)
        np.add(x, move, x)
        np.multiply(move, beta, move)
        np.add(w, move, w)
        np.multiply(g, lr / step, gradient_step)
        np.subtract(x, gradient_step, x)
        np.multiply(g, lr * (1 - beta + beta / step), gradient_step)
        np.subtract(w, gradient_step, w)
