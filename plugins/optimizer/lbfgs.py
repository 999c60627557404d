"""The optimizer ``lbfgs``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register


@register("lbfgs")
class LBFGS(Optimizer):
    """L-BFGS: steps along approximate second derivatives, with a line search, as SciPy has it.

    w ← w + η (w* − w)  with w* after at most ``iterations`` iterations of L-BFGS-B on the loss of the batch

    One update evaluates the loss and its gradient about once for each iteration, and starts without history,
    so a continued run is the same to the bit. It is meant for batches of the whole training part
    (``batch_size`` at least its rows) and for layers that draw no random numbers. It ends earlier by SciPy's
    own rule (largest slope at most 1e-5, or the loss less by 2e-9 of itself). The loss is minimized with
    coupled weight decay λ ‖w‖² / 2; the one that is reported is that after the update, without. SciPy works
    in float64, on weights that are rounded to those of the network wherever it evaluates.

    Options:
        iterations: the most in one update, at least 1.
        history: steps that the second derivatives are approximated from, at least 1.

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
