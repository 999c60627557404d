"""What a loss implements."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from ..registry import UsageError
from .component import Array, Task, TwoForms, returned
from .graph import Graph
from .layer import Context

Means = float | list[float]
"""The mean loss of a batch; a list with one mean per network if networks are stacked."""


def means(totals: Array, factor: float) -> Means:
    """Multiply total losses (one, or one for each stacked network) by a factor; returns Python numbers."""
    plain: Means = totals.tolist()
    return [total * factor for total in plain] if isinstance(plain, list) else plain * factor


class Loss(TwoForms):
    """A mean over the batch of a function of the network's output and the target.

    ``textbook`` is the loss as a textbook writes it; ``rows`` computes the same faster. A loss needs only
    ``textbook`` or ``rows``.
    """

    kind: ClassVar[str] = "loss"
    fast: ClassVar[tuple[str, ...]] = ("rows", "bind")
    in_graph: ClassVar[tuple[str, ...]] = ("predict",)
    name: ClassVar[str]
    tasks: ClassVar[tuple[Task, ...]]
    takes_probabilities: ClassVar[bool] = False
    """Whether the target of a classification may be probabilities ``(…, batch, classes)``.

    For a multilabel loss: whether the target may be any number from 0 to 1, as the transform mixup makes.
    """

    measures_distance: ClassVar[bool] = False
    """Whether a regression's loss depends on output − target alone, so that the target may be scaled."""

    predicts_scores: ClassVar[bool] = False
    """Whether the predictions of a classification order the classes, but are not probabilities."""

    def textbook(self, output: Array, target: Array) -> tuple[Array, Array]:
        """The loss of every row, ``(batch,)``, and its derivative ∂l/∂output, ``(batch, n_outputs)``.

        Compute each row by itself: the base class takes the mean over the batch, applies row weights and
        handles stacked networks.

        Args:
            output: ``(batch, n_outputs)``. Do not change ``output`` or ``target``.
            target: for a regression, values ``(batch, n_outputs)``. For a classification, class numbers
                ``(batch,)``, or class probabilities ``(batch, n_outputs)`` if ``takes_probabilities``. If
                every row has one class, the probabilities are one-hot rows. For multilabel, 0 or 1 for each
                class ``(batch, n_outputs)``, or numbers from 0 to 1 if ``takes_probabilities``.
        """
        raise NotImplementedError(f"the loss {self.name!r} has no textbook form: define the method textbook")

    def textbook_target(self, output: Array, target: Array) -> Array:
        """The target for ``textbook``. If ``takes_probabilities``, class numbers become one-hot rows."""
        if self.takes_probabilities and target.ndim < output.ndim:
            return np.eye(output.shape[-1], dtype=output.dtype)[target]
        return target

    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        """Bind the loss to its arrays; returns a function that writes the loss l and ∂l/∂output of every row.

        Write ``rows`` over the last two axes, so that it also works for stacked networks. If a loss does not
        define ``rows``, this default calls the textbook form for each network.

        Args:
            output, d_output: ``(…, batch, n_outputs)``, contiguous.
            target: class numbers ``(…, batch)`` of type intp, or an array ``(…, batch, n_outputs)`` with the
                values of a regression, with class probabilities, or with 0 or 1 for each class (multilabel).
            losses: ``(…, batch)``, contiguous.
        """

        def run() -> None:
            form_target = self.textbook_target(output, target)
            for i in np.ndindex(output.shape[:-2]):
                result = self.textbook(output[i], form_target[i])
                expected = ("the losses of the rows", "∂loss/∂output")
                losses[i], d_output[i] = returned(self.name, "textbook", result, expected)

        return run

    def bind(self, output: Array, d_output: Array, target: Array, ctx: Context) -> Callable[[], Means]:
        """Bind the loss; returns a function that writes ∂(mean loss)/∂output and returns the mean loss.

        If rows have weights, the mean over the batch is the mean of weight times loss.
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

    def onnx(self, graph: Graph, output: str) -> str:
        """Add the nodes of ``predict``, and return the name of the prediction.

        A loss whose prediction is the network's output needs no nodes.

        Args:
            graph: ``graph.node("Softmax", output)`` adds a node and returns the name of its output.
            output: the name of the network's output, ``(batch, n_outputs)``.

        Raises:
            UsageError: the loss has its own ``predict``, but does not have this method.
        """
        if self._writes("predict"):
            raise UsageError(
                f"loss {self.name!r} cannot be exported to ONNX: "
                f"a class that defines predict must also define the method onnx"
            )
        return output
