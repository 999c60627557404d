"""Checks of every loss."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..api import Array, Loss, UsageError
from .components import exercise
from .gradients import BoundLoss, differences
from .kit import (
    Skipped,
    Subject,
    check,
    raising,
    require,
    require_close,
    require_fast_form,
    require_finite,
)

SHAPES = ((7, 4), (1, 4), (7, 1), (1, 1), (2, 2))
"""(batch, outputs), including unusual shapes. A loss may refuse some shapes."""
EXTREME = {"classification": 1e4, "multilabel": 1e4, "regression": 60.0}
"""The loss must be finite for outputs of this size. For regression the size is smaller, because a loss may
take the exponential of the outputs, which overflows."""

KINDS = {"classification": "classes", "multilabel": "multilabel", "regression": "values"}
"""The kind of targets of each task, as ``draw_problem`` names it."""


@dataclass(frozen=True)
class Problem:
    """Outputs, targets and weights for a loss, and a description in words.

    All numbers are between 0 and 1, where every loss is defined, unless the description says otherwise.
    """

    words: str
    output: Array
    target: Array
    weights: Array | None = None

    def bind(self, loss: Loss) -> BoundLoss:
        return BoundLoss(loss, self.output, self.target, self.weights)

    def part(self, rows: Any) -> Problem:
        weights = None if self.weights is None else self.weights[rows]
        return Problem(self.words, self.output[rows].copy(), self.target[rows].copy(), weights)


def problems(subject: Subject, *, stack: tuple[int, ...] = ()) -> Iterator[Problem]:
    """The problems that the loss is tried on, for each of its tasks and shapes."""
    count = 0
    for words, shape, kind in _kinds(subject):
        problem = draw_problem(words, shape, kind, stack)
        if refuses(subject, problem):
            continue
        count += 1
        yield problem
        rng = np.random.default_rng([9, *shape])
        weights = rng.uniform(0.1, 2.0, (*stack, shape[0]))
        weights /= weights.mean(-1, keepdims=True)
        yield Problem(f"{words}, rows with weights", problem.output.copy(), problem.target, weights)
        if kind == "values":
            wide = rng.standard_normal(problem.output.shape) * 3
            if np.isfinite(Problem("", wide, problem.target).bind(subject.create()).run()).all():
                yield Problem(f"{words}, outputs from −9 to 9", wide, problem.target)
    if not count:
        subject.create()  # if the options are the reason, this raises their error
        raise Skipped("the loss refuses every shape that the kit tries")


def _kinds(subject: Subject) -> Iterator[tuple[str, tuple[int, int], str]]:
    cls = subject.cls
    for batch, outputs in SHAPES:
        words = f"batch {batch}, {outputs} outputs"
        if "classification" in cls.tasks:
            yield f"{words}, classes", (batch, outputs), "classes"
        if "classification" in cls.tasks and cls.takes_probabilities:
            yield f"{words}, probabilities", (batch, outputs), "probabilities"
        if "multilabel" in cls.tasks:
            yield f"{words}, several classes a row", (batch, outputs), "multilabel"
        if "regression" in cls.tasks:
            yield f"{words}, values", (batch, outputs), "values"


def draw_problem(words: str, shape: tuple[int, int], kind: str, stack: tuple[int, ...]) -> Problem:
    rng = np.random.default_rng(shape)
    full_shape = (*stack, *shape)
    output = rng.uniform(0.05, 0.95, full_shape)
    if kind == "classes":
        return Problem(words, output, rng.integers(0, shape[1], full_shape[:-1]))
    if kind == "multilabel":
        return Problem(words, output, rng.integers(0, 2, full_shape).astype(output.dtype))
    target = rng.uniform(0.1, 0.9, full_shape)
    if kind == "probabilities":
        target /= target.sum(-1, keepdims=True)
    return Problem(words, output, target)


def refuses(subject: Subject, problem: Problem) -> bool:
    """Whether the loss refuses a problem, either during ``bind`` or when its textbook form first runs."""
    try:
        bound = problem.bind(subject.create())
    except (ValueError, UsageError):
        return True
    if subject.cls.has_fast_form():
        return False
    try:
        bound.run()
    except UsageError:
        return True
    return False


@exercise("loss")
def use(subject: Subject) -> None:
    for problem in problems(subject):
        problem.bind(subject.create()).run()


@check("loss")
def loss_derivative_equals_the_finite_difference(subject: Subject) -> None:
    """∂(mean loss)/∂output equals the finite difference of the mean loss, with and without row weights."""
    for problem in problems(subject):
        bound = problem.bind(subject.create())
        value = bound.run()
        computed = bound.d_output.copy()
        slope, kinks = differences(bound.run, bound.output)
        require(
            np.count_nonzero(kinks) <= max(1, kinks.size // 10),
            f"the loss has a kink at {np.count_nonzero(kinks)} of {kinks.size} outputs ({problem.words})",
        )
        scale = max(1.0, abs(float(np.max(value))))
        require_close(
            f"∂l/∂output ({problem.words})", computed, slope, rtol=1e-6, atol=1e-9 * scale, where=~kinks
        )


@check("loss")
def loss_is_the_mean_over_the_batch(subject: Subject) -> None:
    """A batch's loss is the mean of the losses of parts of the batch, weighted by their numbers of rows."""
    for problem in problems(subject):
        bound, rows = problem.bind(subject.create()), len(problem.output)
        value = bound.run()
        total, pieces = 0.0, []
        for part in (slice(0, 1), slice(1, 3), slice(3, None)):
            piece = problem.part(part)
            if len(piece.output):
                bound_piece = piece.bind(subject.create())
                share = len(piece.output) / rows
                total += share * float(np.asarray(bound_piece.run()))
                pieces.append(share * bound_piece.d_output)
        require_close(f"the loss ({problem.words})", np.array(value), np.array(total), rtol=1e-12, atol=1e-15)
        require_close(
            f"∂l/∂output ({problem.words})", bound.d_output, np.concatenate(pieces), rtol=1e-12, atol=1e-15
        )


@check("loss")
def stacked_networks_have_their_own_losses(subject: Subject) -> None:
    """Networks stacked along a new leading axis get the losses and derivatives of single networks."""
    runs = 3
    for problem in problems(subject, stack=(runs,)):
        bound = problem.bind(subject.create())
        values = bound.run()
        require(
            isinstance(values, list) and len(values) == runs,
            f"{runs} stacked networks have the loss {values!r}; expected a list with one loss per network",
        )
        for run, value in enumerate(values if isinstance(values, list) else []):
            single = problem.part(run).bind(subject.create())
            words = f"of network {run} of {runs} ({problem.words})"
            require_close(
                f"the loss {words}", np.array(value), np.array(single.run()), rtol=1e-12, atol=1e-15
            )
            require_close(f"∂l/∂output {words}", bound.d_output[run], single.d_output, rtol=1e-12, atol=1e-15)


@check("loss")
def outputs_and_targets_are_not_changed(subject: Subject) -> None:
    """The loss changes neither output nor target, and the same call gives the same bits again."""
    for problem in problems(subject):
        output, target = problem.output.copy(), problem.target.copy()
        bound = problem.bind(subject.create())
        value, gradient = bound.run(), bound.d_output.copy()
        require_close("output after a step", problem.output, output)
        require_close("target after a step", problem.target, target)
        require_close("the loss, computed again,", np.array(bound.run()), np.array(value))
        require_close("∂l/∂output, computed again,", bound.d_output, gradient)


@check("loss")
def losses_share_no_state(subject: Subject) -> None:
    """A loss bound to two batches computes for the first batch what a loss bound only to this batch does."""
    problem = next(problems(subject))
    two_rows = problem.part(slice(0, 2))
    alone = problem.bind(subject.create())
    value = alone.run()
    loss = subject.create()
    first, second = problem.bind(loss), two_rows.bind(loss)
    second.run()
    require_close("the loss, after a second batch was bound,", np.array(first.run()), np.array(value))
    second.run()
    require_close("∂l/∂output, after a second batch was bound,", first.d_output, alone.d_output)


@check("loss")
def float32_is_near_float64(subject: Subject) -> None:
    """In float32, the loss is a Python number near the float64 loss, and its derivative is float32."""
    for problem in problems(subject):
        double = problem.bind(subject.create())
        target = problem.target if problem.target.dtype.kind == "i" else problem.target.astype("f4")
        weights = None if problem.weights is None else problem.weights.astype("f4")
        single = BoundLoss(subject.create(), problem.output.astype("f4"), target, weights)
        value = single.run()
        require(type(value) is float, f"the mean loss must be a Python float, not a {type(value).__name__}")
        scale = max(1.0, float(np.asarray(double.run())))
        require_close(
            "the loss in float32", np.array(value), np.array(double.run()), rtol=1e-4, atol=1e-5 * scale
        )
        require_close("∂l/∂output in float32", single.d_output, double.d_output, rtol=1e-3, atol=1e-4 * scale)


@check("loss")
def extreme_outputs_give_finite_results(subject: Subject) -> None:
    """Extreme outputs and equal outputs give finite losses and derivatives, without an overflow."""
    for task in subject.cls.tasks:
        far = EXTREME[task]
        rows = np.array([[far, -far, 0.0], [far, -far, 0.0], [-far, -far, -far], [far, far, far], [0, 0, 0]])
        target = np.array([0, 1, 2, 1, 0])
        several = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 1], [0, 0, 0], [1, 0, 1]])
        for dtype in ("float32", "float64"):
            output = rows.astype(dtype)
            targets = {
                "classification": target,
                "multilabel": several.astype(dtype),
                "regression": np.full((5, 3), 0.5, dtype),
            }
            valid_target = targets[task]
            if refuses(subject, Problem("", output, valid_target)):
                continue
            bound = BoundLoss(subject.create(), output, valid_target)
            with raising(f"outputs of ±{far:g} in {dtype}"):
                value = bound.run()
            require_finite(f"the loss for outputs of ±{far:g} in {dtype}", value)
            require_finite(f"∂l/∂output for outputs of ±{far:g} in {dtype}", bound.d_output)


@check("loss")
def prediction_has_the_shape_of_the_output(subject: Subject) -> None:
    """``predict`` returns finite numbers in the output's shape and does not change the output."""
    for problem in problems(subject):
        before = problem.output.copy()
        prediction = subject.create().predict(problem.output)
        require(
            prediction.shape == problem.output.shape,
            f"the prediction has shape {prediction.shape}, expected the output's {problem.output.shape}",
        )
        require_finite("the prediction", prediction)
        require_close("output after predict", problem.output, before)


@check("loss")
def a_step_allocates_no_arrays(subject: Subject) -> None:
    """A step allocates less than one byte for each output, because it writes into existing arrays."""
    require_fast_form(subject)
    for task in subject.cls.tasks:
        problem = draw_problem("", (4096, 64), KINDS[task], ())
        if refuses(subject, problem):
            continue
        bound = problem.bind(subject.create())
        bound.run()
        tracemalloc.start()
        try:
            bound.run()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        size = problem.output.size
        require(peak < size, f"a step allocates {peak:,} bytes for {size:,} outputs; write into ctx.array(…)")
