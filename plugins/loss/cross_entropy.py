"""The loss ``cross_entropy``."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log

import numpy as np

from mlpframe.api import Array, Context, Graph, Loss, Means, check_range, register

from ._shared import check_class_weights, require_weights, softmax, true_elements


@register("cross_entropy")
class CrossEntropy(Loss):
    """Softmax and negative log-likelihood in one, from logits o.

    l = Σ_i t_i v_i (log Σ_j exp o_j − o_i),  ∂l/∂o_i = softmax(o)_i Σ_j t_j v_j − t_i v_i,
    with the target t: 1 for the true class c, 0 for the others, so that l = v_c (log Σ_j exp o_j − o_c)

    t may also be given as probabilities (batch, classes). Label smoothing ε mixes t with the uniform
    distribution, t ← (1 − ε) t + ε / classes. The loss is averaged over the batch, whatever the class weights
    v: the sum is divided by the number of rows. PyTorch divides by the sum of the weights in the batch
    instead, so there the share of a row depends on the other rows. The largest logit is subtracted first, so
    nothing overflows. o is (batch, classes), class numbers (batch,).

    Options:
        label_smoothing: ε, at least 0 and below 1.
        class_weights: v, a weight for each class, at least 0. "balanced": weight = training rows / (number of
            classes · training rows of the class); null: all weights are 1.

    Source: Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs"; label
    smoothing: Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision".
    """

    tasks = ("classification",)
    takes_probabilities = True

    def __init__(
        self, *, label_smoothing: float = 0.0, class_weights: list[float] | str | None = None
    ) -> None:
        check_range("label_smoothing", label_smoothing, minimum=0, below=1)
        check_class_weights(class_weights)
        self.label_smoothing, self.class_weights = label_smoothing, class_weights

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        epsilon, classes = self.label_smoothing, output.shape[-1]
        v = 1.0 if self.class_weights is None else np.array(self.class_weights, output.dtype)
        t = ((1 - epsilon) * target + epsilon / classes) * v
        o = output - output.max(-1, keepdims=True)
        log_softmax = o - np.log(np.exp(o).sum(-1, keepdims=True))
        return -(t * log_softmax).sum(-1), np.exp(log_softmax) * t.sum(-1, keepdims=True) - t

    def bind(self, output: Array, d_output: Array, target: Array, ctx: Context) -> Callable[[], Means]:
        plain = ctx.weights is None and target.ndim < output.ndim and not self._general
        if plain and output.ndim == 2 and len(output) == 1:
            return self._bind_row(output[0], d_output[0], target)
        return super().bind(output, d_output, target, ctx)

    @property
    def _general(self) -> bool:
        return bool(self.label_smoothing) or self.class_weights is not None

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        classes = output.shape[-1]
        weights = self.class_weights
        require_weights(self, weights, classes)
        logits, gradient = output.reshape(-1, classes), d_output.reshape(-1, classes)  # views
        rows = len(logits)
        index, locate = true_elements(output, target)
        flat = d_output.reshape(-1)
        column = ctx.array(rows, 1)
        # Further names of existing arrays: a name says what its array holds at that point.
        top = total = log_total = sum_t = column[:, 0]
        flat_losses = losses.reshape(-1)
        one = np.array(1, output.dtype)

        def run() -> None:
            locate()
            np.maximum.reduce(logits, 1, out=top)
            np.subtract(logits, column, gradient)
            flat.take(index, 0, flat_losses, "clip")
            np.exp(gradient, gradient)
            np.add.reduce(gradient, 1, out=total)
            np.divide(gradient, column, gradient)
            flat[index] -= one
            np.log(total, log_total)
            np.subtract(log_total, flat_losses, flat_losses)

        if target.ndim < output.ndim and not self._general:
            return run

        t, shifted = ctx.array(rows, classes), ctx.array(rows, classes)
        minus_log_softmax = shifted  # the same array: shifted first, −log softmax later
        v = np.ones(classes, output.dtype) if weights is None else np.array(weights, output.dtype)
        keep, share = 1 - self.label_smoothing, self.label_smoothing / classes

        def run_distribution() -> None:
            if target.ndim < output.ndim:
                locate()
                t.fill(0)
                t.reshape(-1)[index] = one
            else:
                np.copyto(t, target.reshape(t.shape))
            np.multiply(t, keep, t)
            np.add(t, share, t)
            np.multiply(t, v, t)
            np.maximum.reduce(logits, 1, out=top)
            np.subtract(logits, column, shifted)
            np.exp(shifted, gradient)
            np.add.reduce(gradient, 1, out=total)
            np.divide(gradient, column, gradient)
            np.log(total, log_total)
            np.subtract(column, shifted, minus_log_softmax)
            np.vecdot(t, minus_log_softmax, flat_losses)
            np.add.reduce(t, 1, out=sum_t)
            np.multiply(gradient, column, gradient)
            np.subtract(gradient, t, gradient)

        return run_distribution

    @staticmethod
    def _bind_row(output: Array, d_output: Array, target: Array) -> Callable[[], float]:
        """The loss of a batch of one row, with Python floats: for ten numbers they are faster than arrays."""

        def run() -> float:
            logits: list[float] = output.tolist()
            top = max(logits)
            powers = [exp(logit - top) for logit in logits]
            total = sum(powers)
            c: int = target.item()
            gradient = [power / total for power in powers]
            gradient[c] -= 1
            d_output[:] = gradient
            return log(total) + top - logits[c]

        return run

    def predict(self, output: Array) -> Array:
        return softmax(output)

    def onnx(self, graph: Graph, output: str) -> str:
        return graph.node("Softmax", output)
