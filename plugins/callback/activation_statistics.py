"""The callback ``activation_statistics``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Callback, Run, check_range, register

from ._figures import due

BOUNDS = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
}
"""The lower and the upper bound of the outputs, for each layer whose outputs have two bounds."""


@register("activation_statistics")
class ActivationStatistics(Callback):
    """Records what the outputs of every layer look like: mean, spread, dead units, saturation.

    ``activation/<layer>/mean``, ``/std`` over rows and units; ``/dead``: the share of units whose output is
    the same in every row, such as a relu unit that is always 0

    Sigmoid, tanh, their hard forms and softsign also have ``/saturated``: the share of outputs that are
    closer to one of their two bounds than ``margin`` times the distance between the bounds. The network runs
    in evaluation mode on the first rows of the training part.

    Options:
        every: epochs from one record to the next, at least 1.
        rows: number of training rows that the network runs on, at least 2.
        margin: the distance from a bound that counts as saturated, as a share of the distance between the
            bounds, more than 0 and less than 0.5.

    Source: Glorot, Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".
    """

    def __init__(self, *, every: int = 1, rows: int = 1000, margin: float = 0.02) -> None:
        check_range("every", every, minimum=1)
        check_range("rows", rows, minimum=2)
        check_range("margin", margin, above=0, below=0.5)
        self.every, self.rows, self.margin = every, rows, margin

    def on_epoch(self, run: Run) -> None:
        if due(self.every, run):
            for layer, outputs in run.activations(run.train.x[: self.rows]).items():
                values = self._statistics(layer.partition(".")[2], outputs)
                run.log({f"activation/{layer}/{name}": value for name, value in values.items()})

    def _statistics(self, layer: str, outputs: Array) -> dict[str, float]:
        values = {
            "mean": float(outputs.mean(dtype=np.float64)),
            "std": float(outputs.std(dtype=np.float64)),
            "dead": float((outputs == outputs[0]).all(0).mean()),
        }
        if layer in BOUNDS:
            low, high = BOUNDS[layer]
            near = self.margin * (high - low)
            values["saturated"] = float(((outputs < low + near) | (outputs > high - near)).mean())
        return values
