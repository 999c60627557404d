"""The loss ``hinge``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpframe.api import Array, Context, Loss, check_range, register

from ._shared import true_elements

FORMS = ("crammer_singer", "weston_watkins")


@register("hinge")
class Hinge(Loss):
    """How far the score of the true class is from beating the other scores by a margin.

    l = max(0, m + max_{j≠c} o_j − o_c)  (crammer_singer)  or  l = Σ_{j≠c} max(0, m + o_j − o_c)
    (weston_watkins), for scores o and the true class c; ∂l/∂o_j = 1 for every class j whose term is in l
    and above 0, and ∂l/∂o_c = −(number of these classes)

    With ``squared`` each max(0, …) is squared, so its derivative is 2 max(0, …). At a kink, where the margin
    is met exactly, the subgradient 0 is taken. If several wrong classes share the highest score,
    crammer_singer takes the first of them. crammer_singer with m = 1 is scikit-learn's hinge_loss;
    weston_watkins is PyTorch's MultiMarginLoss times the number of classes. Predictions are the scores: they
    order the classes, but are not probabilities. o is (batch, classes), the target (batch,) class numbers.

    Options:
        form: crammer_singer (only the other class with the highest score counts) or weston_watkins (all other
            classes count).
        squared: whether each max(0, …) is squared, which removes the kink.
        margin: m, by how much the true class must beat the other classes, more than 0.

    Source: Crammer, Singer 2001, "On the algorithmic implementation of multiclass kernel-based vector
    machines"; Weston, Watkins 1999, "Support vector machines for multi-class pattern recognition".
    """

    tasks = ("classification",)
    predicts_scores = True
    examples = (
        {"squared": True},
        {"form": "weston_watkins"},
        {"form": "weston_watkins", "squared": True, "margin": 0.3},
    )

    def __init__(self, *, form: str = "crammer_singer", squared: bool = False, margin: float = 1.0) -> None:
        if form not in FORMS:
            raise ValueError(f"form must be {' or '.join(FORMS)}, not {form!r}")
        check_range("margin", margin, above=0)
        self.form, self.squared, self.margin = form, squared, margin

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        j = np.arange(output.shape[-1])
        true = j == target[:, None]
        other_scores = np.where(true, -np.inf, output)
        excess = np.maximum(0, self.margin + other_scores - output[true][:, None])
        if self.form == "crammer_singer":
            excess = excess * (j == other_scores.argmax(-1)[:, None])
        d = 2 * excess if self.squared else np.sign(excess)
        losses = (excess**2 if self.squared else excess).sum(-1)
        return losses, d - true * d.sum(-1, keepdims=True)

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        classes = output.shape[-1]
        bind = self._strongest if self.form == "crammer_singer" else self._all
        return bind(
            output.reshape(-1, classes),
            d_output.reshape(-1, classes),
            losses.reshape(-1),
            *true_elements(output, target),
            ctx,
        )

    def _strongest(
        self, o: Array, d: Array, losses: Array, index: Array, locate: Callable[[], object], ctx: Context
    ) -> Callable[[], object]:
        rows, classes = o.shape
        flat, slope, squared = d.reshape(-1), ctx.array(rows), self.squared
        true = slope  # the scores of the true classes first, ∂l/∂o later
        starts, strongest = np.arange(rows) * classes, np.empty(rows, np.intp)
        zero, margin, lowest = (np.array(number, o.dtype) for number in (0, self.margin, -np.inf))

        def run() -> None:
            locate()
            np.copyto(d, o)
            flat.take(index, 0, true, "clip")
            flat[index] = lowest
            d.argmax(1, strongest)
            np.add(strongest, starts, strongest)
            flat.take(strongest, 0, losses, "clip")
            np.subtract(losses, true, losses)
            np.add(losses, margin, losses)
            np.maximum(losses, zero, out=losses)
            d.fill(0)
            if squared:
                np.add(losses, losses, slope)
                np.multiply(losses, losses, losses)
            else:
                np.sign(losses, slope)
            flat[strongest] = slope
            np.negative(slope, slope)
            flat[index] = slope

        return run

    def _all(
        self, o: Array, d: Array, losses: Array, index: Array, locate: Callable[[], object], ctx: Context
    ) -> Callable[[], object]:
        rows, _ = o.shape
        scores, flat, squared = o.reshape(-1), d.reshape(-1), self.squared
        column = ctx.array(rows, 1)
        true = slope = column[:, 0]  # the scores of the true classes first, ∂l/∂o_c later
        zero, margin = np.array(0, o.dtype), np.array(self.margin, o.dtype)

        def run() -> None:
            locate()
            scores.take(index, 0, true, "clip")
            np.subtract(true, margin, true)
            np.subtract(o, column, d)
            flat[index] = zero
            np.maximum(d, zero, out=d)
            if squared:
                np.vecdot(d, d, losses)
                np.add(d, d, d)
            else:
                np.add.reduce(d, 1, out=losses)
                np.sign(d, d)
            np.add.reduce(d, 1, out=slope)
            np.negative(slope, slope)
            flat[index] = slope

        return run
