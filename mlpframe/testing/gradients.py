"""Central finite differences, and a way to bind layers and losses outside a network to check them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from functools import wraps
from inspect import signature
from itertools import combinations
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from ..api import Array, Layer, Loss, Means
from ..discovery import load_plugins
from ..registry import registries
from ..training.network import build_layers, under
from .kit import require

STEP = 1e-5
"""Half the distance between the two points of a central difference. The truncation error, of the order of
STEP², is then about 1e-10. The rounding error of float64, of the order of 1e-16 / STEP, is about 1e-11."""
KINK = 1e-2
"""A function has a kink where the slopes of its two sides differ by more than this, relative to 1 + |slope|.
Where the function is smooth, the two slopes differ by STEP times the curvature."""


def differences(
    function: Callable[[], Any], at: Array, weights: Array | float = 1.0
) -> tuple[Array, NDArray[np.bool_]]:
    """∂ Σ(weights · function()) / ∂at by central differences, and the elements where there is a kink.

    Every element of ``at`` is changed and then restored. The weights multiply the differences of the function
    values, not the function values themselves. This keeps the rounding error small, because a difference of
    two long sums would have the rounding error of the sums.
    """
    slope, kinks = np.empty_like(at), np.zeros(at.shape, bool)
    here = np.asarray(function())
    for index in np.ndindex(at.shape):
        middle = at[index]
        at[index] = middle + STEP
        right, above = at[index] - middle, np.asarray(function())
        at[index] = middle - STEP
        left, below = middle - at[index], np.asarray(function())
        at[index] = middle
        slope[index] = np.sum(weights * (above - below)) / (right + left)
        sides = np.sum(weights * (above - here)) / right, np.sum(weights * (here - below)) / left
        kinks[index] = abs(sides[0] - sides[1]) > KINK * (1 + abs(slope[index]))
    return slope, kinks


def central_difference(
    function: Callable[[], Array | float], at: Array, weights: Array | float = 1.0
) -> Array:
    """∂ Σ(weights · function()) / ∂at. ``function`` reads ``at``, whose elements are changed and restored."""
    return differences(function, at, weights)[0]


def assert_gradient(computed: Array, numeric: Array) -> None:
    """Assert that every element agrees to a millionth of its value, or to 1e-9 if its value is near 0."""
    np.testing.assert_allclose(computed, numeric, rtol=1e-6, atol=1e-9, equal_nan=False)


class Context:
    """The services for a layer or loss during ``bind``. The arrays hold NaN at the start of every step.

    So a component fails if it reads an array that it has not written in the same step.
    """

    def __init__(
        self,
        dtype: str = "float64",
        *,
        training: bool = True,
        state: Mapping[str, Array] | None = None,
        weights: Array | None = None,
    ) -> None:
        self.training = training
        self.rng = np.random.default_rng(7)
        self.state: Mapping[str, Array] = dict(state or {})
        self.weights = weights
        self.dtype = np.dtype(dtype)
        self._arrays: list[Array] = []
        self._start = self.rng.bit_generator.state
        self._first = {name: array.copy() for name, array in self.state.items()}

    def array(self, *shape: int) -> Array:
        self._arrays.append(np.full(shape, np.nan, self.dtype))
        return self._arrays[-1]

    def within(self, prefix: str) -> Context:
        inner = copy(self)
        inner.state = under(prefix, self.state)
        return inner

    def single(self, index: tuple[int, ...]) -> Context:
        network_context = copy(self)
        own: Any = (*index, ...)
        network_context.state = {name: array[own] for name, array in self.state.items()}
        return network_context

    def rewind(self) -> None:
        """Return to the state before the first step. The next step then draws the same random numbers."""
        self.rng.bit_generator.state = self._start
        for name, array in self.state.items():
            array[...] = self._first[name]
        for array in self._arrays:
            array.fill(np.nan)

    @property
    def drawn(self) -> bool:
        """Whether random numbers have been drawn since the last ``rewind``."""
        return bool(self.rng.bit_generator.state != self._start)


class BoundLayer:
    """A layer bound to its own arrays.

    Every forward pass starts with the first state and the same random stream again. So the output ``y``
    depends only on the input ``x`` and the parameters ``p``.
    """

    def __init__(
        self,
        layer: Layer,
        x: Array,
        p: Mapping[str, Array],
        *,
        state: Mapping[str, Array] | None = None,
        training: bool = True,
        needs_dx: bool = True,
    ) -> None:
        self.x, self.p = x, dict(p)
        self.dx = np.empty_like(x) if needs_dx else None
        stacked = x.ndim > 2
        self.g = {name: apart(p) if stacked else np.empty_like(p) for name, p in self.p.items()}
        self.ctx = Context(str(x.dtype), training=training, state=state)
        self.bound = layer.bind(x, self.dx, self.p, self.g, self.ctx)

    def forward(self) -> Array:
        self.ctx.rewind()
        self.bound.forward()
        return self.bound.y.copy()

    def backward(self, dy: Array, left: float = np.nan) -> None:
        """Run the backward pass. Gradient elements that the layer does not write are ``left`` afterwards."""
        for array in (self.dx, *self.g.values()):
            if array is not None:
                array.fill(left)
        self.bound.dy[...] = dy
        self.bound.backward()

    def gradients(self) -> dict[str, Array]:
        """Copies of the derivatives, by ``"x"`` for the input and by the name of each parameter."""
        dx = {} if self.dx is None else {"x": self.dx.copy()}
        return {**dx, **{name: value.copy() for name, value in self.g.items()}}


class BoundLoss:
    """A loss bound to its own arrays, as a function of ``output``."""

    def __init__(self, loss: Loss, output: Array, target: Array, weights: Array | None = None) -> None:
        self.output, self.d_output = output, np.empty_like(output)
        self._ctx = Context(str(output.dtype), weights=weights)
        self._run = loss.bind(output, self.d_output, target, self._ctx)

    def run(self) -> Means:
        self._ctx.rewind()
        self.d_output.fill(np.nan)
        return self._run()


@contextmanager
def watched_bindings() -> Iterator[None]:
    """Raise ``AssertionError`` if a layer or loss is bound to arrays that are not contiguous or that overlap.

    Inside the ``with`` statement, every call of ``bind`` of a registered layer or loss is watched, whether a
    network, an engine, or a layer that contains other layers makes the call.
    """
    components = [registries[kind][name] for kind in ("layer", "loss") for name in registries[kind].names()]
    classes: set[Any] = {base for cls in components for base in cls.__mro__ if "bind" in vars(base)}
    with ExitStack() as patches:
        for cls in classes:
            patches.enter_context(patch.object(cls, "bind", _watched(cls.bind)))
        yield


def _watched(bind: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method ``bind`` so that the arrays among its arguments are checked first."""
    declared = signature(bind)

    @wraps(bind)
    def watched(component: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = declared.bind(component, *args, **kwargs).arguments
        arrays = {name: array for name, array in arguments.items() if isinstance(array, np.ndarray)}
        words = f"the {component.kind} {component.name} is bound to"
        for name, array in arrays.items():
            require(array.flags.c_contiguous, f"{words} an array {name} {array.shape} that is not contiguous")
        for (name, array), (other_name, other_array) in combinations(arrays.items(), 2):
            require(
                not np.may_share_memory(array, other_array), f"{words} {name} and {other_name} that overlap"
            )
        return bind(component, *args, **kwargs)

    return watched


def create_layer(name: str, n_out: int = 3) -> Layer:
    """Create a layer by name. An option ``units`` is set to ``n_out``, as a model does for its last layer."""
    load_plugins()
    return build_layers([name], n_out)[0]


def create_loss(name: str) -> Loss:
    loss: Loss = load_plugins()["loss"].create(name)
    return loss


def away_from_zero(rng: np.random.Generator, *shape: int) -> Array:
    """Normal numbers, moved away from 0 by a hundred STEPs, because piecewise functions have a kink at 0."""
    values = rng.standard_normal(shape)
    return values + np.copysign(1e-3, values)


def draw_parameters(
    layer: Layer, n_in: int, rng: np.random.Generator, runs: tuple[int, ...] = ()
) -> dict[str, Array]:
    """Normal numbers for every parameter, including biases, with a leading axis for stacked networks."""
    drawn = {
        name: rng.standard_normal(runs + parameter.shape)
        for name, parameter in layer.parameters(n_in).items()
    }
    return {name: apart(value) for name, value in drawn.items()} if runs else drawn


def apart(stacked: Array) -> Array:
    """Copy an array ``(runs, …)`` so that there is a gap in memory between the parts of two runs.

    The parameters of stacked networks have such gaps too.
    """
    runs, size = len(stacked), stacked[0].size
    # Reshaping does not copy here, so the gap of one element in each row remains.
    copied = np.empty((runs, size + 1), stacked.dtype)[:, :size].reshape(stacked.shape)
    copied[...] = stacked
    return copied
