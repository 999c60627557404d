"""Checks that the textbook form and the fast form of a layer, loss or optimizer compute the same."""

from __future__ import annotations

import ast
import inspect
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import Any

import numpy as np

from ..api import Array, Layer, Loss, Optimizer, UsageError
from ..api.optimizer import textbook_slots
from ..registry import registries
from ..training.trainer import Trainer
from .gradients import BoundLayer, Context, away_from_zero, draw_parameters
from .kit import Skipped, Subject, check, require, require_close, subjects
from .layers import accepts, in_words, make, shapes
from .losses import KINDS as LOSS_TARGETS
from .losses import draw_problem, problems, refuses
from .optimizers import Driven, shape
from .running import fit
from .training import ended, start

KINDS: dict[str, type[Any]] = {"layer": Layer, "loss": Loss, "optimizer": Optimizer}
UPDATES = 50
"""Number of updates after which the two forms of an optimizer must agree."""
CLOSE = {"rtol": 1e-9, "atol": 1e-11}
"""The tolerances for the two forms in float64, whose rounding errors differ."""
TIMED_ROWS, TIMED_WIDTH, TIMED_WEIGHTS, TIMED_CALLS = 256, 64, 100_000, 30
"""The sizes that both forms are timed on, and the number of calls. The fastest call counts."""


def require_textbook_form(subject: Subject) -> None:
    """If there is no textbook form, fail for a built-in component, and skip the check for any other."""
    if subject.kind == "optimizer" and subject.create().scope == "search":
        raise Skipped("the optimizer evaluates the loss itself, which a textbook form cannot do")
    if not subject.cls.has_textbook_form():
        built_in = registries[subject.kind].provider(subject.name) == "built-in"
        require(not built_in, "the component has no textbook form; write the method textbook")
        raise Skipped("the component has no textbook form")


def require_both_forms(subject: Subject) -> None:
    """Skip the check unless the component has both a textbook form and a fast form."""
    require_textbook_form(subject)
    if not subject.cls.has_fast_form():
        raise Skipped("the component has only a textbook form")


def without_fast_form(component: Any) -> Any:
    """Replace the component's fast form by the form that its base class derives from the textbook form."""
    cls, base = type(component), KINDS[component.kind]
    own = {name: getattr(cls, name) for name in ("textbook", "slots") if hasattr(cls, name)}
    base_methods = {name: vars(base)[name] for name in cls.fast}
    component.__class__ = type(cls.__name__, (cls,), {**own, **base_methods})
    return component


# --- the same numbers ----------------------------------------------------------------------------


@check("layer", "loss", "optimizer")
def both_forms_compute_the_same(subject: Subject) -> None:
    """In random cases in float64, the fast form computes the same numbers as the textbook form."""
    require_both_forms(subject)
    COMPARE[subject.kind](subject)


def compare_layers(subject: Subject) -> None:
    for case_shape in shapes(subject):
        batch, n_in, units = case_shape
        rng, fast, book = np.random.default_rng(case_shape), make(subject, units), make(subject, units)
        p = draw_parameters(fast, n_in, rng)
        state = fast.state(n_in)
        book_state = {name: array.copy() for name, array in state.items()}
        for training in (True, True, False):  # evaluation uses the state that training left
            x, words = 2 * away_from_zero(rng, batch, n_in), in_words(case_shape, training=training)
            bound = BoundLayer(fast, x, p, state=state, training=training)
            bound.bound.forward()
            ctx = Context(training=training, state=book_state)
            y, run_back = book.textbook(x, p, ctx)
            require_close(f"y ({words})", bound.bound.y, y, **CLOSE)
            same_draws = ctx.rng.bit_generator.state == bound.ctx.rng.bit_generator.state
            require(same_draws, f"the two forms draw different random numbers ({words})")
            dy = rng.standard_normal(y.shape)
            bound.backward(dy)
            dx, gradients = run_back(dy)
            require(
                gradients.keys() == p.keys(),
                f"the textbook form has gradients of {sorted(gradients)}, but the parameters are {sorted(p)}",
            )
            for name, gradient in {"x": dx, **gradients}.items():
                require_close(f"∂l/∂{name} ({words})", bound.gradients()[name], gradient, **CLOSE)
            for name, array in state.items():
                require_close(f"state {name!r} after a step ({words})", array, book_state[name], **CLOSE)


def compare_losses(subject: Subject) -> None:
    for problem in problems(subject):
        output, book = problem.output, subject.create()
        losses, slopes = book.textbook(output, book.textbook_target(output, problem.target))
        for quantity, array, expected in (
            ("each row's loss", losses, output.shape[:1]),
            ("derivative", slopes, output.shape),
        ):
            require(
                np.shape(array) == expected,
                f"the textbook form's {quantity} has the shape {np.shape(array)}, expected {expected}",
            )
        weights = np.ones(len(output)) if problem.weights is None else problem.weights
        bound = problem.bind(subject.create())
        value, words = np.array(bound.run()), problem.words
        require_close(f"the loss ({words})", value, (weights * losses).mean(), **CLOSE)
        require_close(
            f"∂l/∂output ({words})", bound.d_output, slopes * weights[:, None] / len(output), **CLOSE
        )
        for row in range(len(output)) if problem.weights is None else ():
            single = problem.part(slice(row, row + 1)).bind(subject.create())
            require_close(f"the loss of row {row} ({words})", np.array(single.run()), losses[row], **CLOSE)
            require_close(f"∂l/∂output of row {row} ({words})", single.d_output[0], slopes[row], **CLOSE)


def compare_optimizers(subject: Subject) -> None:
    case_shape = shape(subject)
    element = subject.create().scope == "element"
    for case in (case_shape, (3, *case_shape) if element else case_shape[1:]):
        stacked = element and case != case_shape
        fast, book = subject.create(), subject.create()
        rng = np.random.default_rng(case)
        start_w, rates = rng.standard_normal(case), fast.default_lr * rng.uniform(0.2, 2, (UPDATES, 3, 1))
        driven, w = Driven(fast, start_w.copy()), start_w
        first = Driven(book, start_w.copy()).slots
        slots = [first[name] for name in book.slots]
        named = dict(enumerate(textbook_slots(type(book))))
        compared = [i for i, name in enumerate(book.slots) if name in (named.get(i), book.evaluated)]
        for t in range(1, UPDATES + 1):
            g = rng.standard_normal(case) * (np.arange(case[-1]) % 7 > 0)  # every seventh gradient is 0
            lr = rates[t - 1] if stacked else float(rates[t - 1, 0, 0])
            driven.update(g, lr)
            new = book.textbook(w, g, lr, t, *slots)
            w, *slots = new if isinstance(new, tuple) else (new,)
            require(
                len(slots) == len(book.slots),
                f"the textbook form returns {len(slots)} new slots, expected the slots {book.slots}",
            )
            require_close(f"w after update {t}", driven.w, w, **CLOSE)
            for i in compared:
                name = book.slots[i]
                require_close(f"slot {name!r} after update {t}", driven.slots[name], slots[i], **CLOSE)


COMPARE = {"layer": compare_layers, "loss": compare_losses, "optimizer": compare_optimizers}


@check("layer", "loss", "optimizer")
def training_is_the_same_without_the_fast_form(subject: Subject) -> None:
    """A small run in float64 ends with the same weights with the fast form and without it."""
    require_both_forms(subject)
    with TemporaryDirectory() as folder:
        runs: list[Trainer] = []
        for component in (subject.create(), without_fast_form(subject.create())):
            more = {subject.kind: component, "dtype": "float64"}
            runs.append(start(subject, Path(folder) / str(len(runs)), **more))
            fit(runs[-1])
    (expected, _), (actual, _) = map(ended, runs)
    evaluated = runs[0].updater.optimizer.evaluated
    for name in expected:
        if not name.startswith("slot ") or name == f"slot {evaluated!r}":
            require_close(
                f"{name} of a run without the fast form", actual[name], expected[name], rtol=1e-6, atol=1e-8
            )


# --- as in a textbook ----------------------------------------------------------------------------


@check("layer", "loss", "optimizer")
def the_textbook_form_uses_array_expressions_only(subject: Subject) -> None:
    """The textbook form uses neither ``out=`` nor scratch, changes no argument and calls no fast form."""
    require_textbook_form(subject)
    faults = list(_faults(subject.cls))
    require(not faults, f"the textbook form has {', '.join(faults)}; write array expressions")
    try:
        for use in USES[subject.kind](subject):
            use()
    except ValueError as error:
        require("read-only" not in str(error), f"the textbook form writes to one of its arguments ({error})")
        raise


def _faults(cls: type[Any]) -> Iterator[str]:
    """The constructs in a textbook form that are not allowed there, with their line numbers."""
    for node in ast.walk(ast.parse(dedent(inspect.getsource(cls.textbook)))):
        if isinstance(node, ast.keyword) and node.arg == "out":
            yield f"out= in line {node.value.lineno}"
        elif isinstance(node, ast.Attribute) and node.attr in ("bind", "rows", "update"):
            yield f"the fast form, .{node.attr}, in line {node.lineno}"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "ctx.array":
            yield f"ctx.array in line {node.lineno}"
        elif isinstance(node, ast.Name) and node.id == "scratch":
            yield f"scratch in line {node.lineno}"


def read_only(array: Array) -> Array:
    array = array.copy()
    array.flags.writeable = False
    return array


def use_layer(subject: Subject) -> Iterator[Callable[[], object]]:
    batch, n_in, units = shapes(subject)[0]
    rng, layer = np.random.default_rng(0), make(subject, units)
    p = {name: read_only(array) for name, array in draw_parameters(layer, n_in, rng).items()}
    x = read_only(away_from_zero(rng, batch, n_in))
    dy = read_only(rng.standard_normal((batch, layer.n_out(n_in))))
    for training in (True, False):
        ctx = Context(training=training, state=layer.state(n_in))
        yield lambda ctx=ctx: layer.textbook(x, p, ctx)[1](dy)  # type: ignore[misc]


def use_loss(subject: Subject) -> Iterator[Callable[[], object]]:
    for problem in problems(subject):
        loss, output = subject.create(), read_only(problem.output)
        target = read_only(loss.textbook_target(output, problem.target))
        yield lambda loss=loss, output=output, target=target: loss.textbook(output, target)  # type: ignore[misc]


def use_optimizer(subject: Subject) -> Iterator[Callable[[], object]]:
    optimizer, rng = subject.create(), np.random.default_rng(0)
    w, g = (read_only(rng.standard_normal(shape(subject))) for _ in range(2))
    first = Driven(optimizer, w.copy()).slots
    slots = [read_only(first[name]) for name in optimizer.slots]
    for t in (1, 10):
        yield lambda t=t: optimizer.textbook(w, g, optimizer.default_lr, t, *slots)  # type: ignore[misc]


USES = {"layer": use_layer, "loss": use_loss, "optimizer": use_optimizer}


# --- how fast ------------------------------------------------------------------------------------


def slowdown(kind: str, name: str) -> str | None:
    """How many times slower the textbook form is, in words; ``None`` unless there are two forms to time."""
    if kind not in STEPS:
        return None
    try:
        subject = subjects(kind, name)[0]
        require_both_forms(subject)
        fast, size = STEPS[kind](subject, subject.create())
        book, _ = STEPS[kind](subject, without_fast_form(subject.create()))
    except (Skipped, UsageError):
        return None
    times: dict[Callable[[], object], float] = {}
    with np.errstate(all="ignore"):
        for _ in range(TIMED_CALLS):
            for step in (fast, book):
                began = time.perf_counter()
                step()
                times[step] = min(times.get(step, np.inf), time.perf_counter() - began)
    return f"its textbook form takes {times[book] / times[fast]:.1f} times as long as its fast form ({size})"


Step = tuple[Callable[[], object], str]


def step_of_layer(subject: Subject, layer: Layer) -> Step:
    if not accepts(subject, (TIMED_ROWS, TIMED_WIDTH, TIMED_WIDTH)):
        raise Skipped("the layer refuses the number of features")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((TIMED_ROWS, TIMED_WIDTH)).astype("f4")
    p = {name: array.astype("f4") for name, array in draw_parameters(layer, TIMED_WIDTH, rng).items()}
    state = {name: array.astype("f4") for name, array in layer.state(TIMED_WIDTH).items()}
    bound = BoundLayer(layer, x, p, state=state).bound
    bound.dy[...] = rng.standard_normal(bound.dy.shape)

    def step() -> None:
        bound.forward()
        bound.backward()

    return step, f"{TIMED_ROWS} rows of {TIMED_WIDTH} features"


def step_of_loss(subject: Subject, loss: Loss) -> Step:
    task = "classification" if "classification" in loss.tasks else loss.tasks[0]
    kind = LOSS_TARGETS[task]
    problem = draw_problem("", (TIMED_ROWS, TIMED_WIDTH), kind, ())
    if refuses(subject, problem):
        raise Skipped("the loss refuses the number of outputs")
    output = problem.output.astype("f4")
    target = problem.target if kind == "classes" else problem.target.astype("f4")
    step = loss.bind(output, np.empty_like(output), target, Context("float32"))
    return step, f"{TIMED_ROWS} rows of {TIMED_WIDTH} outputs"


def step_of_optimizer(subject: Subject, optimizer: Optimizer) -> Step:
    rng = np.random.default_rng(0)
    w, g = rng.standard_normal((2, *shape(subject, TIMED_WEIGHTS))).astype("f4")
    driven = Driven(optimizer, w)
    return lambda: driven.update(g), f"{TIMED_WEIGHTS:,} weights"


STEPS: dict[str, Callable[[Subject, Any], Step]] = {
    "layer": step_of_layer,
    "loss": step_of_loss,
    "optimizer": step_of_optimizer,
}
