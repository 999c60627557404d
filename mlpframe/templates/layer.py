"""The layer ``template``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, Backward, Context, Graph, Layer, check_range, register


@register("template")
class Template(Layer):
    """Rectified linear unit with a small slope for negative inputs, applied to each element.

    y = x where x > 0, else slope · x;  ∂l/∂x = ∂l/∂y where x > 0, else slope · ∂l/∂y

    x and y are (batch, features).

    Options:
        slope: slope for negative inputs, at least 0 and below 1.
    """

    def __init__(self, *, slope: float = 0.01) -> None:
        check_range("slope", slope, minimum=0, below=1)
        self.slope = slope

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        y = np.where(x > 0, x, self.slope * x)
        return y, lambda dy: (np.where(x > 0, dy, self.slope * dy), {})

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        return graph.node("LeakyRelu", x, alpha=self.slope)
