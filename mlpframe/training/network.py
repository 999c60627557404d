"""A network: layers over one flat parameter vector, and the plans that run it.

All parameters are views into one vector ``w``, and all gradients are views into one vector ``g`` of the same
layout. So an optimizer works on vectors, and a checkpoint is a few arrays. A plan binds the network to the
arrays of one batch size and one mode. A step of a plan is a list of calls without arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import count
from math import prod
from typing import Any

import numpy as np

from ..api import Array, Layer, Loss, Means, Parameter, Shapes, Spec, Table, UsageError
from ..registry import options_of, registries
from .rng import Streams

EVALUATION_ROWS = 1024
"""Rows evaluated at a time: enough for fast products, small enough for the cache."""
RELEASE_ROWS = 32 * EVALUATION_ROWS
"""Number of rows after which an evaluation releases the memory of a mapped file."""


@dataclass(frozen=True)
class ParameterView:
    """Where a parameter lies in the flat vector."""

    name: str
    slice: slice
    parameter: Parameter


class Arena:
    """Memory that all plans of a network share: the k-th array that a plan requests is in the k-th buffer."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self._buffers: list[Array] = []

    def array(self, index: int, shape: tuple[int, ...]) -> Array:
        size = prod(shape)
        if index == len(self._buffers):
            self._buffers.append(np.zeros(size, self.dtype))
        elif self._buffers[index].size < size:  # plans that are already bound keep the smaller buffer
            self._buffers[index] = np.zeros(size, self.dtype)
        return self._buffers[index][:size].reshape(shape)


class PlanContext:
    """Services available to layers and the loss while a plan is bound (see ``api.Context``)."""

    def __init__(self, arena: Arena, training: bool) -> None:
        self.training = training
        self.generator: np.random.Generator | None = None
        self.generators: Sequence[np.random.Generator] = ()  # one for each stacked network
        self.state: Mapping[str, Array] = {}
        self.weights: Array | None = None
        self._arena = arena
        self._requests = count()

    @property
    def rng(self) -> np.random.Generator:
        if self.generator is None:
            raise UsageError(
                "a layer that draws random numbers while training, such as dropout, cannot train as "
                "replicas: train the runs one by one"
            )
        return self.generator

    def array(self, *shape: int) -> Array:
        return self._arena.array(next(self._requests), shape)

    def within(self, prefix: str) -> PlanContext:
        inner = copy(self)
        inner.state = under(prefix, self.state)
        return inner

    def single(self, index: tuple[int, ...]) -> PlanContext:
        network_context = copy(self)
        own: Any = (*index, ...)
        network_context.state = {name: array[own] for name, array in self.state.items()}
        if index:
            network_context.generator = self.generators[index[0]]
        return network_context


class Plan:
    """A network bound for one batch size and one mode: ``fill`` it, then ``step``.

    ``loss`` and ``step`` return the mean loss. ``correct`` returns the number of rows whose class has the
    largest output. If networks are stacked, these methods return one value for each network. ``activations``
    are the layers' outputs.
    """

    def __init__(
        self,
        x: Array,
        target: Array,
        weights: Array | None,
        activations: Sequence[Array],
        forwards: Sequence[Callable[[], object]],
        loss: Callable[[], Means],
        backwards: Sequence[Callable[[], object]],
    ) -> None:
        self.x, self.target, self.weights, self.loss = x, target, weights, loss
        self.activations = activations
        # an engine may bind only the loss, without layers
        self.output = activations[-1] if activations else x

        def forward() -> None:
            for run in forwards:
                run()

        def step() -> Means:
            for run in forwards:
                run()
            values = loss()
            for run in backwards:
                run()
            return values

        self.forward, self.step = forward, step

    def fill(self, table: Table, rows: Array, lane: int | None = None) -> None:
        """Copy rows of a table into the plan; if networks are stacked, into network number ``lane``."""
        at: Any = ... if lane is None else lane
        table.x.take(rows, 0, self.x[at], "clip")
        table.y.take(rows, 0, self.target[at], "clip")
        if self.weights is not None and table.weights is not None:
            table.weights.take(rows, 0, self.weights[at], "clip")

    def correct(self) -> Any:
        if self.target.size == 1:
            return int(self.output.argmax() == self.target.item())
        true = self.target if self.target.ndim < self.output.ndim else self.target.argmax(-1)
        hits = self.output.argmax(-1) == true
        return np.count_nonzero(hits) if hits.ndim == 1 else np.add.reduce(hits, -1, np.intp)


class Network:
    """Layers, a loss, and their parameters.

    Args:
        layers: the layers, first to last.
        loss: the loss that training minimizes.
        n_in: number of input features.
        target: an array like the targets: class numbers ``(n,)``, or ``(n, n_outputs)`` with values or with 0
            or 1 for each class.
        dtype: of parameters and arithmetic, float32 or float64.
        streams: the stream ``init`` fills the parameters; each layer that draws random numbers has its own
            stream.
        weighted: whether rows have weights in the loss.
        mixed: whether the targets are class probabilities in training, because rows are mixed.
        w: the parameters as a file has them, instead of new ones.

    Raises:
        UsageError: ``w`` is not of this network, or is not finite.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        loss: Loss,
        n_in: int,
        target: Array,
        dtype: str,
        streams: Streams,
        *,
        weighted: bool = False,
        mixed: bool = False,
        w: Array | None = None,
    ) -> None:
        self.layers, self.loss, self.n_in, self.weighted = tuple(layers), loss, n_in, weighted
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.classifies = target.ndim == 1
        self._streams = streams
        self._stacked_streams: list[Streams] = []
        self._arena = Arena(self.dtype)
        self._plans: dict[tuple[int, bool], Plan] = {}

        self.widths = [n_in]
        self.parameters: list[ParameterView] = []
        self.state: dict[str, Array] = {}
        end = 0
        for i, layer in enumerate(self.layers):
            width = self.widths[-1]
            for name, parameter in layer.parameters(width).items():
                start, end = end, end + prod(parameter.shape)
                self.parameters.append(ParameterView(self.prefix(i) + name, slice(start, end), parameter))
            self.widths.append(layer.n_out(width))
        if w is not None:  # before anything is allocated, because a damaged file may ask for a huge network
            check_array("w", w, (end,), self.dtype)
            if not np.isfinite(w).all():
                raise UsageError("its weights are not finite")
        for i, (layer, width) in enumerate(zip(self.layers, self.widths, strict=False)):
            for name, value in layer.state(width).items():
                self.state[self.prefix(i) + name] = value.astype(self.dtype)
        self.target_shape, self.target_dtype = target.shape[1:], target.dtype
        if mixed:
            self.target_shape, self.target_dtype = (self.widths[-1],), self.dtype
        self.w, self.g = np.zeros(end, self.dtype), np.zeros(end, self.dtype)
        if w is None:
            self._initialize(streams["init"])
        else:
            self.w[...] = w

    def prefix(self, i: int) -> str:
        """How the names of the arrays of layer ``i`` begin, for example ``0.linear.``."""
        return f"{i}.{self.layers[i].name}."

    def views(self, vector: Array) -> dict[str, Array]:
        """Views of the parameters into a vector with the layout of ``w``, by name."""
        stack = vector.shape[:-1]
        return {
            view.name: vector[..., view.slice].reshape(*stack, *view.parameter.shape)
            for view in self.parameters
        }

    @classmethod
    def stacked(cls, networks: Sequence[Network]) -> Network:
        """Stack networks of the same shape along a new leading axis.

        The parameters and states of the networks become views into the stack, so training the stack trains
        the networks.

        Raises:
            UsageError: a layer draws random numbers while training.
        """
        stack = copy(networks[0])
        stack._stacked_streams = [network._streams for network in networks]
        stack.w, stack.g = np.stack([network.w for network in networks]), np.stack([n.g for n in networks])
        stack.state = {name: np.stack([n.state[name] for n in networks]) for name in stack.state}
        for i, network in enumerate(networks):
            network.w, network.g = stack.w[i], stack.g[i]
            network.state = {name: array[i] for name, array in stack.state.items()}
            network._plans = {}
        stack.plan(1, training=True)  # raises UsageError if a layer draws random numbers
        return stack

    def with_layers(self, layers: Iterable[Layer]) -> Network:
        """A network with the same parameters and state, but other layers of the same names and shapes."""
        network = copy(self)
        network.layers, network._arena = tuple(layers), self._arena
        return network

    def __getstate__(self) -> dict[str, Any]:
        """Everything except the plans, which a copied or unpickled network binds again."""
        return {**vars(self), "_plans": {}, "_arena": Arena(self.dtype)}

    def _initialize(self, rng: np.random.Generator) -> None:
        for parameter_view, array in zip(self.parameters, self.views(self.w).values(), strict=True):
            parameter = parameter_view.parameter
            values = np.empty(parameter.shape)  # drawn in float64, so every dtype starts from the same values
            registries["initializer"].create(parameter.init).fill(values, parameter, rng)
            array[...] = values

    def plan(self, batch: int, *, training: bool) -> Plan:
        """The plan for this batch size, in training or evaluation mode; created on first use."""
        key = batch, training
        if key not in self._plans:
            self._plans[key] = self._bind(batch, training)
        return self._plans[key]

    def _bind(self, batch: int, training: bool) -> Plan:
        stack = self.w.shape[:-1]
        target = np.zeros((*stack, batch, *self.target_shape), self.target_dtype)
        ctx = self.context(training=training)
        if self.weighted:
            ctx.weights = np.ones((*stack, batch), self.dtype)
        return self.bind(ctx.array(*stack, batch, self.n_in), None, target, ctx)

    def bind(self, x: Array, dx: Array | None, target: Array, ctx: PlanContext, first: int = 0) -> Plan:
        """Bind the layers from number ``first`` on, and the loss.

        ``x``, ``dx`` and ``target`` must be contiguous and must not overlap, because layers and losses rely
        on this.

        Args:
            x: the input of layer number ``first``.
            dx: the array into which ∂loss/∂x is written; ``None``: ∂loss/∂x is not computed.
            target: the array that will hold the targets.
            ctx: provides working arrays, whose memory other plans may use too, and says whether the plan
                trains.
        """
        p, g = self.views(self.w), self.views(self.g)
        y, dy = x, dx
        activations, forwards, backwards = [], [], []
        for i, layer in list(enumerate(self.layers))[first:]:
            prefix = self.prefix(i)
            stream = f"layer {prefix}"
            ctx.generator = None if self.w.ndim > 1 else self._streams[stream]
            ctx.generators = [streams[stream] for streams in self._stacked_streams]
            ctx.state = under(prefix, self.state)
            y, dy, forward, backward = layer.bind(y, dy, under(prefix, p), under(prefix, g), ctx)
            activations.append(y)
            forwards.append(forward)
            backwards.append(backward)
        assert dy is not None
        loss = self.loss.bind(y, dy, target, ctx)
        return Plan(x, target, ctx.weights, activations, forwards, loss, backwards[::-1])

    def context(self, *, training: bool) -> PlanContext:
        """A context to pass to ``bind``. All plans of the network use the same memory for working arrays."""
        return PlanContext(self._arena, training)

    def outputs(self, x: Array) -> Array:
        """Outputs ``(n, n_outputs)`` for inputs ``(n, n_in)``, in evaluation mode."""
        outputs = np.empty((len(x), self.widths[-1]), self.dtype)
        for rows, plan in self._forwards(x):
            outputs[rows] = plan.output
        return outputs

    def activations(self, x: Array) -> dict[str, Array]:
        """Every layer's outputs ``(n, width)`` by layer name, for inputs ``(n, n_in)`` in evaluation mode."""
        outputs = {
            self.prefix(i)[:-1]: np.empty((len(x), width), self.dtype)
            for i, width in enumerate(self.widths[1:])
        }
        for rows, plan in self._forwards(x):
            for all_rows, part in zip(outputs.values(), plan.activations, strict=True):
                all_rows[rows] = part
        return outputs

    def evaluate(self, table: Table) -> tuple[float, Array]:
        """Mean loss and outputs ``(n, n_outputs)`` over a table, in evaluation mode."""
        outputs = np.empty((len(table), self.widths[-1]), self.dtype)
        total = 0.0
        for rows, plan in self._forwards(table.x):
            y = table.y[rows]
            plan.target[...] = y if y.ndim == plan.target.ndim else one_hot(y, plan.target.shape[-1])
            if plan.weights is not None:
                plan.weights[...] = 1 if table.weights is None else table.weights[rows]
            loss = plan.loss()
            assert isinstance(loss, float)
            total += loss * len(plan.x)
            outputs[rows] = plan.output
            if rows.start % RELEASE_ROWS == 0:
                table.release()
        return total / len(table), outputs

    def _forwards(self, x: Array) -> Iterator[tuple[slice, Plan]]:
        """Run the inputs forward part by part; yields the rows of a part, and the plan with its results."""
        for start in range(0, len(x), EVALUATION_ROWS):
            rows = slice(start, min(start + EVALUATION_ROWS, len(x)))
            plan = self.plan(rows.stop - start, training=False)
            plan.x[...] = x[rows]
            plan.forward()
            yield rows, plan


def one_hot(y: Array, classes: int) -> Array:
    """Class numbers ``(n,)`` as probabilities ``(n, classes)``."""
    return np.eye(classes)[y]


def under(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays whose names begin with a prefix, under their names without the prefix."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def check_array(name: str, array: Array, shape: tuple[int, ...], dtype: Any) -> None:
    """Raise ``UsageError`` if an array that was read is not of the shape and type that the network needs."""
    if array.shape != shape or array.dtype != dtype:
        raise UsageError(
            f"its array {name!r} is {array.dtype} of shape {array.shape}; "
            f"expected {np.dtype(dtype)} of shape {shape}"
        )


def create_layers(model: Spec, shapes: Shapes) -> list[Layer]:
    """Create the layers of a model for these inputs and outputs.

    Args:
        model: the model's name, or a mapping with ``name`` and options.
        shapes: the inputs and outputs that the network must have.
    """
    return build_layers(registries["model"].create(model).layers(shapes), shapes.outputs, shapes.codes)


def build_layers(
    specs: Sequence[Spec], n_outputs: int, codes: Mapping[int, int] | None = None
) -> list[Layer]:
    """Create layers from their specs.

    If a layer's option ``units`` is left out, the layer gets ``n_outputs`` units. If the option ``columns``
    of the layer ``embedding`` is left out, the layer embeds all inputs that hold category numbers, and its
    option ``categories`` becomes their numbers of categories.

    Args:
        specs: the layers, first to last.
        n_outputs: the number of outputs of the network.
        codes: the number of categories by input position; ``None``: no input holds category numbers.
    """
    codes = codes or {}
    layers = []
    for spec in specs:
        registry = registries["layer"]
        options: dict[str, Any] = dict(spec) if isinstance(spec, Mapping) else {"name": spec}
        name = options["name"]
        if isinstance(name, str) and name in registry:
            known = [option.name for option in options_of(registry[name])]
            if "units" in known and options.get("units") is None:
                options["units"] = n_outputs
            if "categories" in known and options.get("columns") is None:
                options |= {"columns": list(codes), "categories": list(codes.values())}
            spec = options
        layers.append(registry.create(spec))
    if not layers:
        raise UsageError("the model has no layers; expected at least one")
    return layers
