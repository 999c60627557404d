"""The optimizer ``swa``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Spec, check_range, register

from ._wrapper import Wrapper


@register("swa")
class SWA(Wrapper):
    """Stochastic weight averaging: saves the plain mean of weights that another optimizer passes through.

    a ← a + (w − a) / n  at update start + (n − 1) every,  for n = 1, 2, 3, …

    Before update ``start`` the weights w themselves are evaluated. The average does not affect the training
    of w. In the paper, once averaging has begun, the learning rate is high and constant, or cyclic with w
    averaged at the end of each cycle. Layers that normalize batches keep the running statistics of the
    trained weights, not of the average.

    Options:
        inner: the optimizer that trains w, a name or a mapping with name and options. Set weight
            decay, clipping and learning-rate factors as options of swa, not inside inner.
        start: the first update whose weights are averaged, at least 1.
        every: updates from one averaged update to the next, at least 1.

    Source: Izmailov, Podoprikhin, Garipov, Vetrov, Wilson 2018, "Averaging weights leads to wider optima and
    better generalization".
    """

    def __init__(self, *, inner: Spec = "sgd", start: int = 100, every: int = 10) -> None:
        check_range("start", start, minimum=1)
        check_range("every", every, minimum=1)
        super().__init__(inner, "swa")
        self.start, self.every = start, every

    def textbook(self, w: Array, g: Array, lr: float, t: int, *slots: Array) -> tuple[Array, ...]:
        *inner, a = slots
        w, *inner = self.inner_textbook(w, g, lr, t, *inner)
        n, steps_since = divmod(t - self.start, self.every)
        if t <= self.start:
            a = w
        elif steps_since == 0:
            a = a + (w - a) / (n + 1)
        return w, *inner, a

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        self.inner.update(w, g, slots, lr, step, scratch)
        average, (n, steps_since) = slots["swa"], divmod(step - self.start, self.every)
        if step <= self.start:
            np.copyto(average, w)
        elif steps_since == 0:
            np.subtract(w, average, scratch)
            np.multiply(scratch, 1 / (n + 1), scratch)
            np.add(average, scratch, average)
