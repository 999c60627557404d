"""The optimizer ``lbfgs``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("lbfgs")
class LBFGS(Optimizer):
    """L-BFGS: steps from approximate second derivatives, with a line search; computed by SciPy.

    w ← w + η (w* − w)  with w* from at most ``iterations`` iterations of L-BFGS-B on the batch's loss

    One update evaluates the loss and its gradient about once for each iteration. No update uses past steps of
    earlier updates, so a run that is interrupted and resumed gives the same bits. The optimizer is meant for
    batches of all training rows (``batch_size`` at least the number of these rows) and for layers that draw
    no random numbers. An update ends early by SciPy's own rule: no element of the gradient exceeds 1e-5
    in size, or an iteration lowers the loss by at most a fraction of 2e-9. The minimized loss includes
    coupled weight decay λ ‖w‖² / 2. The reported loss is taken after the update and excludes weight decay.
    SciPy works in float64; for each evaluation the weights are rounded to the network's dtype.

    Options:
        iterations: the largest number of iterations in one update, at least 1.
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
