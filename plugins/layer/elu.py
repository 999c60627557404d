"""The layer ``elu``."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, check_range, register

from ._exponential import bind_exponential


@register("elu")
class ELU(Layer):
    """Exponential linear unit, element by element.

    y = x where x > 0, else α (exp x − 1),  ∂l/∂x = ∂l/∂y where x > 0, else α exp x ∂l/∂y

    With α = 1 the derivative is continuous. With any other α, y has no derivative at exactly 0, and the
    left-hand derivative is taken. x and y are (batch, features).

    Options:
        alpha: α, more than 0 and finite.

    Source: Clevert, Unterthiner, Hochreiter 2016, "Fast and accurate deep network learning by exponential
    linear units (ELUs)".
    """

    examples = ({"alpha": 0.3},)

    def __init__(self, *, alpha: float = 1.0) -> None:
        check_range("alpha", alpha, above=0, below=inf)
        self.alpha = alpha

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        alpha, power = self.alpha, np.exp(np.minimum(x, 0))
        y = np.where(x > 0, x, alpha * (power - 1))
        return y, lambda dy: (np.where(x > 0, dy, alpha * power * dy), {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        return bind_exponential(x, dx, ctx, 1.0, self.alpha)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("Elu", x, alpha=self.alpha)
