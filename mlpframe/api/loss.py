"""What a loss implements."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from .component import Array, Task, TwoForms
from .layer import Context

Means = float | list[float]
"""The mean loss of a batch; where networks are stacked, of each."""


def means(totals: Array, factor: float) -> Means:
    """Sums over the last two axes, times a factor, as Python numbers."""
    plain: Means = totals.tolist()
    return [total * factor for total in plain] if isinstance(plain, list) else plain * factor


class Loss(TwoForms):
    """A mean over the batch of a function of the network's output and the target.

    ``textbook`` is the loss as a textbook writes it, ``rows`` the same for speed. One of them is enough.
    """

    kind: ClassVar[str] = "loss"
    fast: ClassVar[tuple[str, ...]] = ("rows", "bind")
    name: ClassVar[str]
    tasks: ClassVar[tuple[Task, ...]]
    takes_probabilities: ClassVar[bool] = False
    """Whether the target of a classification may be probabilities ``(…, batch, classes)``."""

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        """The loss of every row, ``(batch,)``, and its derivative ∂l/∂output, ``(batch, n_outputs)``.

        Neither knows of the mean over the batch, of weights of rows, or of stacked networks.

        Args:
            output: ``(batch, n_outputs)``; not to be changed, as the target.
            target: values ``(batch, n_outputs)`` for a regression. For a classification, the probabilities of
                the classes ``(batch, n_outputs)``, one-hot rows where each row has its class, if
                ``takes_probabilities``; else class numbers ``(batch,)``.
        """
        raise NotImplementedError(f"the loss {self.name!r} has no textbook form")

    def textbook_target(self, output: Array, target: Array) -> Array:
        """The target as ``textbook`` takes it: one-hot rows for class numbers if ``takes_probabilities``."""
        if self.takes_probabilities and target.ndim < output.ndim:
            return np.eye(output.shape[-1], dtype=output.dtype)[target]
        return target

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        """Bind to the arrays; the result, called, writes every row's loss l and its own ∂l/∂output.

        Written over the last two axes, so that it serves stacked networks too. Where a loss has no ``rows``
        of its own, this one calls its textbook form for each network.

        Args:
            output, d_output: ``(…, batch, n_outputs)``, contiguous.
            target: class numbers ``(…, batch)`` of type intp, or values ``(…, batch, n_outputs)``: those of a
                regression, or the probabilities of classes.
            losses: ``(…, batch)``, contiguous.
        """

        def run() -> None:
            wanted = self.textbook_target(output, target)
            for i in np.ndindex(output.shape[:-2]):
                losses[i], d_output[i] = self.textbook(output[i], wanted[i])

        return run

    def bind(self, output: Array, d_output: Array, target: Array, ctx: Context) -> Callable[[], Means]:
        """Bind as ``rows`` does; the result, called, writes ∂(mean loss)/∂output and returns the mean.

        The mean over the batch is that of weight times loss where the rows have weights.
        """
        batch, weights = output.shape[-2], ctx.weights
        losses = ctx.array(*output.shape[:-1])
        each, share = self.rows(output, d_output, target, losses, ctx), np.array(1 / batch, output.dtype)
        shares = None if weights is None else ctx.array(*weights.shape, 1)

        def run() -> Means:
            each()
            if weights is not None and shares is not None:
                np.multiply(losses, weights, losses)
                np.multiply(weights[..., None], share, shares)
                np.multiply(d_output, shares, d_output)
            elif batch > 1:
                np.multiply(d_output, share, d_output)
            return means(np.add.reduce(losses, -1), 1 / batch)

        return run

    def predict(self, output: Array) -> Array:
        """The output as a user reads it: class probabilities, or values."""
        return output
