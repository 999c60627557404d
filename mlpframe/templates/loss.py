"""The loss ``template``."""

from __future__ import annotations

from mlpframe.api import Array, Loss, check_range, register


@register("template")
class Template(Loss):
    """Half the squared error, summed over the outputs and multiplied by ``scale``.

    l = scale · ½ Σ_j (o_j − t_j)²,  ∂l/∂o_j = scale · (o_j − t_j)

    The output o and the target t are (batch, outputs). The loss of a batch is the mean over its rows.

    Options:
        scale: factor of the loss, more than 0.
    """

    tasks = ("regression",)

    def __init__(self, *, scale: float = 1.0) -> None:
        check_range("scale", scale, above=0)
        self.scale = scale

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        error = output - target
        return self.scale * (error**2).sum(-1) / 2, self.scale * error
