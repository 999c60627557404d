"""The optimizer ``lbfgs``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("lbfgs")
class LBFGS(Optimizer):
    """L-BFGS: steps along approximate second derivatives, with a line search, as SciPy has it.

    w ← w + η (w* − w)  with w* after at most ``iterations`` iterations of L-BFGS-B on the loss of the batch

    One update evaluates the loss and its gradient about once for each iteration. Every update starts without
    history, so a continued run is the same to the bit. The optimizer is meant for batches of the whole
    training part (``batch_size`` at least the number of its rows) and for layers that draw no random numbers.
    An update ends early by SciPy's own rule: the largest slope is at most 1e-5, or the loss has fallen by at
    most 2e-9 of itself. The minimized loss includes coupled weight decay λ ‖w‖² / 2. The reported loss is
    taken after the update and excludes weight decay. SciPy works in float64; for each evaluation the weights
    are rounded to the network's dtype.

    Options:
        iterations: the most iterations in one update, at least 1.
        history: number of past steps that approximate the second derivatives, at least 1.

    Source: Byrd, Lu, Nocedal, Zhu 1995, "A limited memory algorithm for bound constrained optimization".
    """

    default_lr = 1.0
    scope = "search"

    def __init__(self, *, iterations: int = 20, history: int = 10) -> None:
        check_range("iterations", iterations, minimum=1)
        check_range("history", history, minimum=1)
        self.iterations, self.history = iterations, history

    def search(self, w: Array, g: Array, lr: float, evaluate: Callable[[], float]) -> None:
        from scipy.optimize import minimize

        def objective(point: Array) -> tuple[float, Array]:
            w[...] = point
            return evaluate(), g.astype(np.float64)

        start = w.astype(np.float64)
        limits = {"maxiter": self.iterations, "maxcor": self.history}
        end = minimize(objective, start, jac=True, method="L-BFGS-B", options=limits).x
        w[...] = (1 - lr) * start + lr * end
