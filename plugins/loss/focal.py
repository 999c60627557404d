"""The loss ``focal``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Context, Graph, Loss, check_range, register

from ._shared import softmax, true_elements


@register("focal")
class Focal(Loss):
    """Cross-entropy from logits o in which well-classified rows count less.

    l = −(1 − p_c)^γ log p_c with p = softmax(o) and the true class c,
    ∂l/∂o_i = (p_i − [i = c]) (1 − p_c)^γ (1 − γ p_c log p_c / (1 − p_c))

    With γ = 0 this is the loss cross_entropy. 1 − p_c is computed as the sum of the other probabilities and
    log p_c as −log(1 + Σ_{j≠c} exp(o_j − o_c)), so both are accurate even if p_c is close to 1. The paper has
    two classes and a sigmoid; the softmax extends its loss to several. The paper's α, a weight for each
    class, is left out, because every row can be given a weight. o is (batch, classes), the target (batch,)
    class numbers.

    Options:
        gamma: γ, at least 0; the larger γ is, the less a well-classified row counts.

    Source: Lin, Goyal, Girshick, He, Dollár 2017, "Focal loss for dense object detection".
    """

    tasks = ("classification",)
    examples = ({"gamma": 0.0}, {"gamma": 0.5})

    def __init__(self, *, gamma: float = 2.0) -> None:
        check_range("gamma", gamma, minimum=0)
        self.gamma = gamma

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        gamma, p = self.gamma, softmax(output)
        true = np.arange(output.shape[-1]) == target[:, None]  # true is [i = c]
        log_pc = -np.logaddexp.reduce(output - output[true][:, None], -1, keepdims=True)
        p_others = np.maximum(
            (p * ~true).sum(-1, keepdims=True), np.finfo(p.dtype).smallest_normal
        )  # p_others is 1 − p_c
        slope = p_others**gamma * (1 - gamma * np.exp(log_pc) * log_pc / p_others)
        return -(p_others**gamma * log_pc)[:, 0], (p - true) * slope

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        classes = output.shape[-1]
        logits, d, flat_losses = (
            output.reshape(-1, classes),
            d_output.reshape(-1, classes),
            losses.reshape(-1),
        )
        index, locate = true_elements(output, target)
        flat = d_output.reshape(-1)
        column = ctx.array(len(logits), 1)
        true, p_others, slope = (ctx.array(len(logits)) for _ in range(3))
        # Further names of existing arrays: a name says what its array holds at that point.
        top = others = power = factor = column[:, 0]
        total, exp_true, p_true = true, p_others, slope
        smallest = np.array(np.finfo(output.dtype).smallest_normal)
        zero, one, gamma = (np.array(number, output.dtype) for number in (0, 1, self.gamma))

        def run() -> None:
            locate()
            np.maximum.reduce(logits, 1, out=top)
            np.subtract(logits, column, d)
            flat.take(index, 0, true, "clip")
            np.exp(d, d)
            flat.take(index, 0, exp_true, "clip")
            flat[index] = zero
            np.add.reduce(d, 1, out=others)
            np.maximum(others, smallest, out=others)
            np.log(others, flat_losses)
            np.subtract(flat_losses, true, flat_losses)
            np.logaddexp(flat_losses, zero, flat_losses)  # flat_losses is now −log p_c
            np.add(exp_true, others, total)
            np.divide(exp_true, total, p_true)
            np.divide(others, total, p_others)  # p_others is 1 − p_c
            np.multiply(p_true, flat_losses, slope)
            np.divide(slope, p_others, slope)
            np.multiply(slope, gamma, slope)
            np.add(slope, one, slope)
            np.power(p_others, gamma, power)
            np.multiply(flat_losses, power, flat_losses)
            np.multiply(slope, power, slope)
            np.divide(slope, total, factor)
            np.multiply(d, column, d)
            np.multiply(slope, p_others, slope)
            np.negative(slope, slope)
            flat[index] = slope

        return run

    def predict(self, output: Array) -> Array:
        return softmax(output)

    def onnx(self, graph: Graph, output: str) -> str:
        return graph.node("Softmax", output)
