"""Checks of every layer."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..api import Array, Layer, UsageError
from .components import exercise
from .gradients import BoundLayer, away_from_zero, differences, draw_parameters, watched_bindings
from .kit import (
    UNITS,
    Skipped,
    Subject,
    check,
    raising,
    require,
    require_close,
    require_fast_form,
    require_finite,
)

SHAPES = ((5, 4, 3), (1, 4, 3), (5, 1, 3), (5, 4, 1), (1, 1, 1), (3, 6, 2), (2, 16, 4))
"""(batch, features, units), including unusual shapes. A layer may refuse some numbers of features."""
DRAWS = 3000
"""Number of training passes whose mean output is compared with the output in evaluation."""


class Trial:
    """A layer that is bound to random arrays, with a random ∂loss/∂y."""

    def __init__(self, subject: Subject, shape: tuple[int, int, int], **bound: Any) -> None:
        batch, n_in, units = shape
        rng = np.random.default_rng(shape)
        self.layer = make(subject, units)
        self.x, self.p = away_from_zero(rng, batch, n_in), draw_parameters(self.layer, n_in, rng)
        self.dy = rng.standard_normal((batch, self.layer.n_out(n_in)))
        self.n_in, self.state = n_in, self.layer.state(n_in)
        own = self.layer.state(n_in)  # a copy, because self.state is kept for comparison
        self.bound = BoundLayer(self.layer, self.x, self.p, state=own, **bound)

    def step(self) -> tuple[Array, dict[str, Array]]:
        """Run a forward and a backward pass. Returns the output and the gradients."""
        y = self.bound.forward()
        self.bound.backward(self.dy)
        return y, self.bound.gradients()


def make(subject: Subject, units: int = UNITS) -> Layer:
    fixed = "units" in subject.options or not subject.has("units")
    layer: Layer = subject.create() if fixed else subject.create(units=units)
    return layer


def shapes(subject: Subject) -> list[tuple[int, int, int]]:
    """The shapes whose number of features the layer accepts."""
    accepted = [shape for shape in SHAPES if accepts(subject, shape)]
    widths = sorted({n_in for _, n_in, _ in SHAPES})
    if not accepted:
        make(subject)  # if the options are the reason, this raises their error
        raise Skipped(
            f"the layer refuses inputs of {widths} features; set examples to options that accept one of these"
        )
    return accepted


def accepts(subject: Subject, shape: tuple[int, int, int]) -> bool:
    try:
        layer = make(subject, shape[2])
        layer.n_out(shape[1])
        layer.parameters(shape[1])
    except (ValueError, UsageError):
        return False
    return True


def in_words(shape: tuple[int, int, int], *, training: bool = True) -> str:
    return f"batch {shape[0]}, {shape[1]} features, {'training' if training else 'evaluation'}"


def draws(subject: Subject) -> bool:
    """Whether the layer draws random numbers while it trains."""
    trial = Trial(subject, shapes(subject)[0])
    trial.bound.forward()
    return trial.bound.ctx.drawn


@exercise("layer")
def use(subject: Subject) -> None:
    for training in (True, False):
        Trial(subject, shapes(subject)[0], training=training).step()


# --- derivatives ---------------------------------------------------------------------------------


def _trials(subject: Subject) -> Iterator[tuple[str, Trial]]:
    for shape in shapes(subject):
        for training in (True, False):
            yield in_words(shape, training=training), Trial(subject, shape, training=training)


def _compare(words: str, trial: Trial, names: list[str]) -> None:
    """Compare gradients with finite differences. Skips elements at a kink, where no slope exists."""
    y, gradients = trial.step()
    scale = max(1.0, float(np.abs(y).max(initial=0)) * float(np.abs(trial.dy).max(initial=0)))
    for name in names:
        at = trial.bound.x if name == "x" else trial.bound.p[name]
        slope, kinks = differences(trial.bound.forward, at, weights=trial.dy)
        require(
            np.count_nonzero(kinks) <= max(1, at.size // 10),
            f"y has a kink or a jump at {np.count_nonzero(kinks)} of {at.size} elements of {name} ({words})",
        )
        require_close(
            f"∂l/∂{name} ({words})", gradients[name], slope, rtol=1e-6, atol=1e-8 * scale, where=~kinks
        )


@check("layer")
def input_derivative_equals_the_finite_difference(subject: Subject) -> None:
    """∂l/∂x from backward equals the finite difference of Σ dy · y, in training and in evaluation."""
    for words, trial in _trials(subject):
        _compare(words, trial, ["x"])


@check("layer")
def parameter_derivatives_equal_the_finite_differences(subject: Subject) -> None:
    """The gradient of every parameter equals the finite difference, in training and in evaluation."""
    for words, trial in _trials(subject):
        _compare(words, trial, list(trial.p))


@check("layer")
def gradients_are_overwritten(subject: Subject) -> None:
    """A step overwrites dx and g. It does not add to their earlier values."""
    for shape in shapes(subject):
        trial = Trial(subject, shape)
        trial.bound.forward()
        trial.bound.backward(trial.dy, 0.0)
        clean = trial.bound.gradients()
        trial.bound.forward()
        trial.bound.backward(trial.dy, 5.0)
        for name, gradient in trial.bound.gradients().items():
            require_close(
                f"∂l/∂{name}, written over an array full of 5 ({in_words(shape)})", gradient, clean[name]
            )


# --- arrays --------------------------------------------------------------------------------------


@check("layer")
def output_has_the_announced_width(subject: Subject) -> None:
    """y and dy have the shape (batch, n_out(n_in)) and the run's dtype, are contiguous and do not overlap."""
    for shape in shapes(subject):
        trial = Trial(subject, shape)
        expected = (shape[0], trial.layer.n_out(shape[1]))
        y, dy = trial.bound.bound.y, trial.bound.bound.dy
        for name, array in (("y", y), ("dy", dy)):
            require(array.shape == expected, f"{name} has shape {array.shape}, expected {expected} by n_out")
            require(array.flags.c_contiguous, f"{name} is not contiguous")
            require(array.dtype == trial.x.dtype, f"{name} is {array.dtype} in a run of {trial.x.dtype}")
        require(not np.shares_memory(y, dy), "y and dy share memory; each needs an array of its own")


@check("layer")
def first_layer_works_without_dx(subject: Subject) -> None:
    """Outputs and gradients stay the same if there is no dx, as in the first layer."""
    shape = shapes(subject)[0]
    y, gradients = Trial(subject, shape).step()
    first_y, first = Trial(subject, shape, needs_dx=False).step()
    require_close("y without dx", first_y, y)
    for name in first:
        require_close(f"∂l/∂{name} without dx", first[name], gradients[name])


@check("layer")
def inputs_are_not_changed(subject: Subject) -> None:
    """A step changes neither x nor the parameters."""
    for shape in shapes(subject):
        trial = Trial(subject, shape)
        before = {name: array.copy() for name, array in (("x", trial.x), *trial.p.items())}
        trial.step()
        for name, array in (("x", trial.x), *trial.p.items()):
            require_close(f"{name} after a step", array, before[name])


@check("layer")
def a_repeated_step_gives_the_same_bits(subject: Subject) -> None:
    """The same input, parameters, state and random stream give the same bits again."""
    for training in (True, False):
        trial = Trial(subject, shapes(subject)[0], training=training)
        y, gradients = trial.step()
        again, repeated_gradients = trial.step()
        require_close("y of the same step, repeated,", again, y)
        for name, gradient in gradients.items():
            require_close(f"∂l/∂{name} of the same step, repeated,", repeated_gradients[name], gradient)


@check("layer")
def layers_share_no_state(subject: Subject) -> None:
    """Two layers of one kind, or one layer bound to two batches, do not affect each other's results."""
    shape = shapes(subject)[0]
    y, alone = Trial(subject, shape).step()
    first, second = Trial(subject, shape), Trial(subject, shape)
    larger = np.repeat(first.x + 1, 2, 0)
    third = BoundLayer(first.layer, larger, first.p, state=first.layer.state(shape[1]))
    first.bound.forward()
    second.bound.x *= -2
    second.bound.forward()
    third.forward()
    third.backward(np.ones_like(third.bound.dy))
    first.bound.backward(first.dy)
    require_close("y, after other layers have run,", first.bound.bound.y, y)
    for name, gradient in first.bound.gradients().items():
        require_close(f"∂l/∂{name}, after other layers have run,", gradient, alone[name])
    for name, array in first.layer.state(shape[1]).items():
        require(
            not np.shares_memory(array, make(subject).state(shape[1])[name]),
            f"all layers share the array of state {name!r}; create a new array in state()",
        )


@check("layer")
def stacked_networks_equal_single_networks(subject: Subject) -> None:
    """Networks stacked along a new leading axis compute the same numbers as single networks."""
    # All networks of a stack share one random stream, so only a stack of one equals a single network.
    runs = 1 if draws(subject) else 3
    for shape in shapes(subject):
        batch, n_in, units = shape
        rng, layer = np.random.default_rng(1), make(subject, units)
        x, p = away_from_zero(rng, runs, batch, n_in), draw_parameters(layer, n_in, rng, (runs,))
        dy = rng.standard_normal((runs, batch, layer.n_out(n_in)))
        states = [layer.state(n_in) for _ in range(runs)]
        state = {name: np.stack([network_state[name] for network_state in states]) for name in states[0]}
        with watched_bindings():
            stacked = BoundLayer(layer, x.copy(), p, state=state)
        y = stacked.forward()
        stacked.backward(dy)
        for run in range(runs):
            own = {name: value[run].copy() for name, value in p.items()}
            single = BoundLayer(layer, x[run].copy(), own, state=states[run])
            words = f"of network {run} of {runs} ({in_words(shape)})"
            require_close(f"y {words}", y[run], single.forward(), rtol=1e-12, atol=1e-12)
            single.backward(dy[run])
            for name, gradient in single.gradients().items():
                stacked_gradient = stacked.gradients()[name][run]
                require_close(f"∂l/∂{name} {words}", stacked_gradient, gradient, rtol=1e-12, atol=1e-12)


# --- numbers -------------------------------------------------------------------------------------


@check("layer")
def float32_is_near_float64(subject: Subject) -> None:
    """In float32, all arrays are float32, and the numbers agree with float64 up to rounding errors."""
    # A layer that draws random numbers is compared in evaluation, because it draws other numbers in float32.
    shape, training = shapes(subject)[0], not draws(subject)
    double = Trial(subject, shape, training=training)
    y, gradients = double.step()
    p, state = ({k: v.astype("f4") for k, v in arrays.items()} for arrays in (double.p, double.state))
    single = BoundLayer(double.layer, double.x.astype("f4"), p, state=state, training=training)
    for name, array in (("y", single.bound.y), ("dy", single.bound.dy)):
        require(array.dtype == np.float32, f"{name} is {array.dtype} in a run of float32; use ctx.array")
    require_close("y in float32", single.forward(), y, rtol=1e-4, atol=1e-4)
    single.backward(double.dy)
    for name, gradient in single.gradients().items():
        require_close(f"∂l/∂{name} in float32", gradient, gradients[name], rtol=1e-3, atol=1e-3)


@check("layer")
def large_inputs_give_finite_results(subject: Subject) -> None:
    """Inputs of ±10,000 and equal inputs give finite outputs and gradients, without an overflow."""
    _, n_in, units = shapes(subject)[0]
    rows = np.array([[1e4, -1e4, 0, 1], [-1e4, -1e4, -1e4, -1e4], [1e4, 1e4, 1e4, 1e4]])
    for dtype in ("float32", "float64"):
        for training in (True, False):
            layer, rng = make(subject, units), np.random.default_rng(2)
            x = (
                np.resize(rows, (3, n_in)).astype(dtype)
                if n_in % 4
                else np.tile(rows, n_in // 4).astype(dtype)
            )
            p = {name: value.astype(dtype) for name, value in draw_parameters(layer, n_in, rng).items()}
            state = {name: value.astype(dtype) for name, value in layer.state(n_in).items()}
            bound = BoundLayer(layer, x, p, state=state, training=training)
            with raising(f"inputs of ±10,000 in {dtype}"):
                y = bound.forward()
                bound.backward(rng.standard_normal(y.shape))
            require_finite(f"y for inputs of ±10,000 in {dtype}", y)
            for name, gradient in bound.gradients().items():
                require_finite(f"∂l/∂{name} for inputs of ±10,000 in {dtype}", gradient)


@check("layer")
def a_step_allocates_no_arrays(subject: Subject) -> None:
    """A step allocates less than one byte for each input, because it writes into existing arrays."""
    require_fast_form(subject)
    width = next((w for w in (512, 1024, 256, 64, 16, 4, 6, 1) if accepts(subject, (1, w, UNITS))), None)
    if width is None:
        raise Skipped("the layer refuses the numbers of features that the kit tries")
    trial = Trial(subject, (2**18 // max(width, 64), width, UNITS))
    trial.step()
    bound = trial.bound.bound
    tracemalloc.start()
    try:
        bound.forward()
        _, forward = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        bound.backward()
        _, backward = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    for half, peak in (("forward", forward), ("backward", backward)):
        require(
            peak < max(trial.x.size, 2**18),
            f"{half}() allocates {peak:,} bytes for {trial.x.size:,} inputs; bind arrays and write with out=",
        )


# --- modes ---------------------------------------------------------------------------------------


@check("layer")
def evaluation_draws_no_random_numbers(subject: Subject) -> None:
    """The layer draws random numbers in training only."""
    trial = Trial(subject, shapes(subject)[0], training=False)
    trial.bound.forward()
    require(
        not trial.bound.ctx.drawn, "the layer draws random numbers in evaluation; draw only if ctx.training"
    )


@check("layer")
def evaluation_changes_no_state(subject: Subject) -> None:
    """The layer's state, such as running means, changes in training only."""
    trial = Trial(subject, shapes(subject)[0], training=False)
    trial.step()
    for name, array in trial.bound.ctx.state.items():
        require_close(f"state {name!r} after an evaluation", array, trial.state[name])


@check("layer")
def randomness_keeps_the_expectation(subject: Subject) -> None:
    """The mean output over many draws equals the output in evaluation, or mean and variance are the same."""
    if not draws(subject):
        return
    shape = next((candidate for candidate in shapes(subject) if candidate[1] >= 4), shapes(subject)[0])
    trial = Trial(subject, shape)
    expected = Trial(subject, shape, training=False).bound.forward()
    total, squares = np.zeros_like(expected), np.zeros_like(expected)
    trial.bound.forward()
    for _ in range(DRAWS):
        trial.bound.bound.forward()
        total += trial.bound.bound.y
        squares += trial.bound.bound.y**2
    mean = total / DRAWS
    error = np.sqrt(np.maximum(squares / DRAWS - mean**2, 0) / DRAWS)
    off = np.abs(mean - expected) > 6 * error + 1e-9
    require(
        not off.any() or _keeps_moments(subject, shape),
        f"the mean of y over {DRAWS} draws is {mean[off][:1]}, but in evaluation {expected[off][:1]}; "
        "rescale y",
    )


def _keeps_moments(subject: Subject, shape: tuple[int, int, int]) -> bool:
    """Whether outputs for normal inputs have the same mean and variance in training and in evaluation."""
    rng, moments = np.random.default_rng(3), []
    x = rng.standard_normal((DRAWS, *Trial(subject, shape).x.shape))
    for training in (True, False):
        bound, seen = Trial(subject, shape, training=training).bound, []
        bound.forward()
        for values in x:
            bound.x[...] = values
            bound.bound.forward()
            seen.append(bound.bound.y.copy())
        moments.append((np.mean(seen), np.var(seen)))
    (mean, variance), (expected, spread) = moments
    return bool(abs(mean - expected) < 0.05 * spread**0.5 and abs(variance / spread - 1) < 0.06)
