"""The loss ``binary_cross_entropy``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Context, Graph, Loss, check_range, register

from ._shared import check_class_weights, distributions, require_weights


@register("binary_cross_entropy")
class BinaryCrossEntropy(Loss):
    """Cross-entropy of each output on its own, from logits o, averaged over the outputs.

    l = −Σ_i w_i (v t_i log σ(o_i) + (1 − t_i) log(1 − σ(o_i))) / outputs,  σ(o) = 1 / (1 + exp(−o)),
    ∂l/∂o_i = w_i (σ(o_i) (1 − t_i + v t_i) − v t_i) / outputs

    Every output answers yes or no independently, so a row may belong to several classes or to none: this is
    the loss of multilabel data, whose targets are 0 or 1 for each class. The target t is the probability of
    each output, (batch, outputs), or class numbers (batch,), which stand for one-hot rows. Predictions are
    σ(o); the predictions of a row need not sum to 1. Like PyTorch's BCEWithLogitsLoss, the loss is averaged
    over the outputs. The only exponential is exp(−|o|), so nothing overflows or is lost by rounding. o is
    (batch, outputs).

    Options:
        positive_weight: v, the weight of target 1 relative to target 0, more than 0. To balance the two, set
            v to the number of zeros divided by the number of ones among the targets.
        class_weights: w, a weight for each class, at least 0. "balanced": weight = training rows / (number of
            classes · training rows of the class), only if each row has one class; null: all weights are 1.

    Source: Cox 1958, "The regression analysis of binary sequences".
    """

    tasks = ("classification", "multilabel")
    takes_probabilities = True
    examples = ({"positive_weight": 3.0},)

    def __init__(
        self, *, positive_weight: float = 1.0, class_weights: list[float] | str | None = None
    ) -> None:
        check_range("positive_weight", positive_weight, above=0)
        check_class_weights(class_weights)
        self.positive_weight, self.class_weights = positive_weight, class_weights

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        o, t, v = output, target, self.positive_weight
        log_yes, log_no = -np.logaddexp(0, -o), -np.logaddexp(0, o)  # log σ(o) and log(1 − σ(o))
        w = 1.0 if self.class_weights is None else np.array(self.class_weights, o.dtype)
        sigmoid = np.exp(log_yes)
        losses = -(w * (v * t * log_yes + (1 - t) * log_no)).mean(-1)
        return losses, w * (sigmoid * (1 - t + v * t) - v * t) / o.shape[-1]

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        require_weights(self, self.class_weights, output.shape[-1])
        t, update = distributions(output, target, ctx)
        power, yes, denominator = (ctx.array(*output.shape) for _ in range(3))
        # Further names of existing arrays: a name says what its array holds at that point.
        magnitude = logarithm = power
        slope, c = yes, denominator
        products = ctx.array(*losses.shape)
        v = self.positive_weight
        numbers = (0, 1, 1 / output.shape[-1], v, v - 1)
        zero, one, share, weight, excess = (np.array(number, output.dtype) for number in numbers)
        weighted = ctx.array(*output.shape) if v != 1 else t
        w = None if self.class_weights is None else np.array(self.class_weights, output.dtype)

        def run() -> None:
            # The loss of an output is w (c log(1 + exp(−|o|)) + (c h − v t) o), with c = 1 − t + v t and with
            # h = 1 where o > 0, else 0. The loss of a row is the mean over its outputs.
            update()
            np.abs(output, magnitude)
            np.negative(magnitude, power)
            np.exp(power, power)
            np.heaviside(output, zero, yes)
            np.maximum(power, yes, out=d_output)
            np.add(power, one, denominator)
            np.divide(d_output, denominator, d_output)
            np.log1p(power, logarithm)
            if v != 1:
                np.multiply(t, excess, c)
                np.add(c, one, c)
                np.multiply(logarithm, c, logarithm)
                np.multiply(yes, c, slope)
                np.multiply(d_output, c, d_output)
                np.multiply(t, weight, weighted)
            np.subtract(slope, weighted, slope)
            np.subtract(d_output, weighted, d_output)
            if w is not None:
                for array in (logarithm, slope, d_output):
                    np.multiply(array, w, array)
            np.vecdot(slope, output, products)
            np.add.reduce(logarithm, -1, out=losses)
            np.add(losses, products, losses)
            np.multiply(losses, share, losses)
            np.multiply(d_output, share, d_output)

        return run

    def predict(self, output: Array) -> Array:
        power = np.exp(-np.abs(output))
        probabilities: Array = np.where(output > 0, 1, power) / (1 + power)
        return probabilities

    def onnx(self, graph: Graph, output: str) -> str:
        return graph.node("Sigmoid", output)
