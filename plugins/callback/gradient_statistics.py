"""The callback ``gradient_statistics``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Callback, Run, check_range, register

from ._figures import due


@register("gradient_statistics")
class GradientStatistics(Callback):
    """Records the norm of every parameter and of its gradient.

    ``gradient_norm/<parameter>`` = ‖∂l/∂p‖₂,  ``weight_norm/<parameter>`` = ‖p‖₂

    l is the mean loss over the first rows of the training part. These rows are always the same and are not
    transformed, so epochs can be compared, and every engine gives the same values. Layers are in training
    mode; weight decay and clipping are left out. Nothing is updated: the callback does not change the run.

    Options:
        every: epochs from one record to the next, at least 1.
        rows: number of training rows for the mean loss, at least 1.

    Source: Glorot, Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".
    """

    def __init__(self, *, every: int = 1, rows: int = 256) -> None:
        check_range("every", every, minimum=1)
        check_range("rows", rows, minimum=1)
        self.every, self.rows = every, rows

    def on_epoch(self, run: Run) -> None:
        if due(self.every, run):
            weights, gradients = run.parameters(), run.gradients(self.rows)
            run.log({f"gradient_norm/{name}": _norm(gradient) for name, gradient in gradients.items()})
            run.log({f"weight_norm/{name}": _norm(weight) for name, weight in weights.items()})


def _norm(array: Array) -> float:
    return float(np.linalg.norm(array.astype(np.float64)))  # in float64 no square overflows
