"""The layer ``selu``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Bound, Context, Graph, Layer, register

from ._exponential import ALPHA, SCALE, bind_exponential


@register("selu")
class SELU(Layer):
    """Scaled exponential linear unit, element by element: it keeps mean 0 and variance 1.

    y = λ x where x > 0, else λ α (exp x − 1),  ∂l/∂x = λ ∂l/∂y where x > 0, else λ α exp x ∂l/∂y,
    α = 1.67326…, λ = 1.05070…

    Initialize the weights with variance 1 / fan_in (init=lecun), and use the layer alpha_dropout for dropout.
    At exactly 0, where y has no derivative, the left-hand derivative is taken. x and y are (batch, features).

    Source: Klambauer, Unterthiner, Mayr, Hochreiter 2017, "Self-normalizing neural networks".
    """

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        scale, alpha, power = SCALE, ALPHA, np.exp(np.minimum(x, 0))
        y = scale * np.where(x > 0, x, alpha * (power - 1))
        return y, lambda dy: (scale * np.where(x > 0, dy, alpha * power * dy), {})

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        return bind_exponential(x, dx, ctx, SCALE, ALPHA)

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("Selu", x, alpha=ALPHA, gamma=SCALE)
