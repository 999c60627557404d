"""Compute one example in a small network and keep every number, as in a calculation by hand.

Three computations share only the weights. ``by_hand`` uses plain Python numbers and lists, one local
derivative at a time. The network uses the forward and backward passes of its layers. The third computation
is the central finite difference of the network's loss. All three use double precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from math import exp, inf, isfinite, log, tanh

import numpy as np

from ..api import Shapes
from ..api.component import Task
from ..registry import UsageError, nearest, registries
from ..training.network import Network, create_layers
from ..training.rng import Streams

Vector = list[float]
Matrix = list[Vector]

MOST_PARAMETERS = 50
"""The largest number of parameters that can be traced. Nobody reads more numbers one by one."""
STEP = 1e-5
"""Half the distance between the two points of a central difference. The truncation error is of the order of
STEP² = 1e-10, and the rounding error of the order of 1e-16 / STEP = 1e-11."""
LOSSES = ("cross_entropy", "mse", "nll")
REPORT_WIDTHS = (2, 3, 2)
REPORT_WEIGHTS = [1.0, 1.0, 1.0, -1.0, -1.0, -1.0, *[0.0] * 3, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0, *[0.0] * 2]
"""Weights and biases of the network that the report of ``mlpframe report`` works by hand (question 3)."""


@dataclass(frozen=True)
class Activation:
    """h = value(k) and its local derivative ∂h/∂k = slope(h), each with its formula as text."""

    formula: str
    value: Callable[[float], float]
    slope_formula: str
    slope: Callable[[float], float]


ACTIVATIONS = {
    "relu": Activation(
        "relu({k}) = max({k}, 0)", lambda k: max(k, 0.0), "1 if {k} > 0, else 0", lambda h: float(h > 0)
    ),
    "sigmoid": Activation(
        "sigmoid({k}) = 1 / (1 + exp(−{k}))",
        lambda k: 1 / (1 + exp(-k)),
        "{h}·(1 − {h})",
        lambda h: h * (1 - h),
    ),
    "tanh": Activation("tanh({k})", tanh, "1 − {h}²", lambda h: 1 - h * h),
}


@dataclass(frozen=True)
class Example:
    """The example to trace, and the network that it is traced through.

    Args:
        x: the inputs.
        hidden: units of the hidden layers, first to last; may be empty.
        outputs: number of outputs.
        activation: the activation function of the hidden units, a name in ``ACTIVATIONS``.
        loss: a name in ``LOSSES``. mse takes linear outputs; the other losses follow a softmax.
        target: the number of the true class. For mse, a value for each output is allowed too.
        lr: the learning rate of the single update.
        seed: the seed for weights drawn from N(0, 1); biases are 0. ``None`` means seed 0, except for a
            2-3-2 network, which gets ``REPORT_WEIGHTS``.
        weights: weights to use instead of drawn weights: W row by row, then b, layer after layer.

    Raises:
        UsageError: a name is unknown, numbers do not fit together, or there are more than
            ``MOST_PARAMETERS`` parameters.
    """

    x: Vector = field(default_factory=lambda: [1.0, -1.0])
    hidden: list[int] = field(default_factory=lambda: [3])
    outputs: int = 2
    activation: str = "sigmoid"
    loss: str = "cross_entropy"
    target: Vector = field(default_factory=lambda: [0.0])
    lr: float = 0.1
    seed: int | None = None
    weights: Vector | None = None

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise UsageError(
                f"trace does not support activation {self.activation!r}; "
                f"{nearest(self.activation, ACTIVATIONS)}"
            )
        if self.loss not in LOSSES:
            raise UsageError(f"trace does not support the loss {self.loss!r}; {nearest(self.loss, LOSSES)}")
        if not all(units >= 1 for units in self.widths):
            raise UsageError(f"every layer needs at least 1 unit; {self.shape} has a layer without units")
        if self.loss != "mse" and self.outputs < 2:
            raise UsageError(f"the loss {self.loss} needs at least 2 outputs, not {self.outputs}")
        if not 0 <= self.lr < inf:
            raise UsageError(f"lr must be a finite number, at least 0, not {self.lr}")
        size = sum((n_in + 1) * n_out for n_in, n_out in zip(self.widths, self.widths[1:], strict=False))
        if size > MOST_PARAMETERS:
            raise UsageError(
                f"{self.shape} has {size} weights and biases, too many to read; "
                f"expected at most {MOST_PARAMETERS}"
            )
        if self.weights is not None and self.seed is not None:
            raise UsageError("weights and seed cannot both be set: give the weights, or a seed to draw them")
        if self.weights is not None and len(self.weights) != size:
            raise UsageError(
                f"{self.shape} has {size} weights and biases, not {len(self.weights)}: "
                "expected for each layer W by rows (a row per input), then b"
            )
        _ = self.goal  # raises an error if the target does not fit the loss and the outputs

    @property
    def widths(self) -> tuple[int, ...]:
        """The numbers of inputs, hidden units and outputs."""
        return len(self.x), *self.hidden, self.outputs

    @property
    def shape(self) -> str:
        return "-".join(map(str, self.widths))

    @property
    def goal(self) -> int | Vector:
        """The true class; for mse, the target value of each output, which is one-hot if a class is given."""
        if self.loss == "mse" and len(self.target) == self.outputs:
            return self.target
        if len(self.target) != 1 or self.target[0] not in range(self.outputs):
            target_text = ",".join(f"{value:g}" for value in self.target)
            alternative = f" or {self.outputs} values" if self.loss == "mse" else ""
            raise UsageError(
                f"target must be a class from 0 to {self.outputs - 1}{alternative}, not {target_text}"
            )
        true = int(self.target[0])
        return [float(i == true) for i in range(self.outputs)] if self.loss == "mse" else true

    @property
    def has_report_weights(self) -> bool:
        """Whether the network uses ``REPORT_WEIGHTS``."""
        return self.weights is None and self.seed is None and self.widths == REPORT_WIDTHS


@dataclass
class Stage:
    """A linear layer and the activation after it; ``W[i][j]`` leads from input i to unit j.

    The last stage has no activation: its ``k`` are the outputs o, and ``h``, ``slope`` and ``dh`` are empty.
    ``dh`` is ∂l/∂h. ``dk`` is ∂l/∂k, which equals ∂l/∂b. ``dW`` is ∂l/∂W.
    """

    x: Vector
    W: Matrix
    b: Vector
    k: Vector
    h: Vector = field(default_factory=list)
    slope: Vector = field(default_factory=list)
    dh: Vector = field(default_factory=list)
    dk: Vector = field(default_factory=list)
    dW: Matrix = field(default_factory=list)  # noqa: N815 - the formula's letter

    @property
    def gradient(self) -> Vector:
        return [*chain.from_iterable(self.dW), *self.dk]


@dataclass
class Worked:
    """All numbers of the example, computed by hand.

    ``y`` are the outputs of the softmax, ``dy`` = ∂l/∂y and ``jacobian[i][j]`` = ∂y_i/∂o_j. All three are
    empty for mse, which has no softmax.
    """

    stages: list[Stage]
    loss: float = 0.0
    y: Vector = field(default_factory=list)
    dy: Vector = field(default_factory=list)
    jacobian: Matrix = field(default_factory=list)

    @property
    def gradient(self) -> Vector:
        return [*chain.from_iterable(stage.gradient for stage in self.stages)]


@dataclass(frozen=True)
class Trace:
    """The example computed by hand, the network's loss, and the gradients by network and by differences.

    The gradients are in the order of the network's parameters: W row by row, then b, layer after layer.
    """

    example: Example
    by_hand: Worked
    loss_by_network: float
    by_network: Vector
    by_differences: Vector

    @property
    def deviations(self) -> tuple[float, float]:
        """The largest |by hand − network| and |by hand − finite difference| over all derivatives."""
        own = self.by_hand.gradient
        references = self.by_network, self.by_differences
        network, differences = (max(abs(a - b) for a, b in zip(own, o, strict=True)) for o in references)
        return network, differences


def trace(example: Example) -> Trace:
    """Compute an example in three ways.

    Raises:
        UsageError: a number leaves the range of double precision.
    """
    network = _network(example)
    arrays = [view.tolist() for view in network.views(network.w).values()]
    try:
        worked = by_hand(example, list(zip(arrays[::2], arrays[1::2], strict=True)))
    except ArithmeticError:  # exp overflows, or a probability of 0 is a divisor
        worked = None
    if worked is None or not all(map(isfinite, (worked.loss, *worked.gradient))):
        raise UsageError("the numbers become too large for a trace; expected inputs and weights of about 1")
    plan = network.plan(1, training=True)
    plan.x[...], plan.target[...] = example.x, example.goal
    loss = _number(plan.step())
    gradient: Vector = network.g.tolist()

    def loss_at(i: int, value: float) -> float:
        network.w[i] = value
        plan.forward()
        return _number(plan.loss())

    differences = []
    for i, w in enumerate(network.w.tolist()):
        differences.append((loss_at(i, w + STEP) - loss_at(i, w - STEP)) / (2 * STEP))
        network.w[i] = w
    return Trace(example, worked, loss, gradient, differences)


def by_hand(example: Example, weights: list[tuple[Matrix, Vector]]) -> Worked:
    """Compute the forward and backward passes with loops over lists, one product of numbers at a time."""
    activation = ACTIVATIONS[example.activation]
    x, stages = example.x, []
    for W, b in weights:
        k = [sum(x[i] * W[i][j] for i in range(len(x))) + b[j] for j in range(len(b))]
        stage = Stage(x, W, b, k)
        stages.append(stage)
        if len(stages) < len(weights):
            stage.h = [activation.value(v) for v in k]
            stage.slope = [activation.slope(h) for h in stage.h]
            x = stage.h

    worked, o, goal = Worked(stages), stages[-1].k, example.goal
    outputs = range(len(o))
    if isinstance(goal, list):
        worked.loss = sum((a - t) * (a - t) for a, t in zip(o, goal, strict=True)) / len(o)
        stages[-1].dk = [2 * (a - t) / len(o) for a, t in zip(o, goal, strict=True)]
    else:
        powers = [exp(v) for v in o]
        worked.y = y = [power / sum(powers) for power in powers]
        worked.dy = dy = [-1 / y[i] if i == goal else 0.0 for i in outputs]
        worked.loss = -log(y[goal])
        worked.jacobian = [[y[i] * (1 - y[i]) if i == j else -y[i] * y[j] for j in outputs] for i in outputs]
        stages[-1].dk = [sum(dy[i] * worked.jacobian[i][j] for i in outputs) for j in outputs]

    above: Stage | None = None
    for stage in reversed(stages):
        if above is not None:
            stage.dh = [sum(d * w for d, w in zip(above.dk, row, strict=True)) for row in above.W]
            stage.dk = [d * slope for d, slope in zip(stage.dh, stage.slope, strict=True)]
        stage.dW = [[value * d for d in stage.dk] for value in stage.x]
        above = stage
    return worked


def _network(example: Example) -> Network:
    softmax = "softmax" if example.loss == "nll" else None  # cross_entropy includes the softmax
    model = {
        "name": "mlp",
        "hidden": example.hidden,
        "activation": example.activation,
        "init": "normal",
        "output": softmax,
    }
    task: Task = "regression" if example.loss == "mse" else "classification"
    layers = create_layers(model, Shapes(len(example.x), example.outputs, task))
    loss, target = registries["loss"].create(example.loss), np.array([example.goal])
    network = Network(layers, loss, len(example.x), target, "float64", Streams(example.seed or 0))
    weights = REPORT_WEIGHTS if example.has_report_weights else example.weights
    if weights is not None:
        network.w[...] = weights
    return network


def _number(loss: float | list[float]) -> float:
    assert isinstance(loss, float)  # only stacked networks have a list of losses
    return loss
