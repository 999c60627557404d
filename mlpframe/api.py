"""What a plugin implements: one base class for each kind, and the few helpers a plugin needs.

A component is a class in a file of its own, registered under a name::

    from mlpframe.api import Optimizer, register

    @register("sgd")
    class SGD(Optimizer): ...

Its options are the keyword-only, typed arguments of ``__init__``; its docstring (one line, the formula,
``Options:``, ``Source:``) is its help. Shapes: a batch ``x`` is ``(batch, features)``, C-contiguous, of
the run's dtype. NumPy and the standard library only.
"""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import ge, gt, le, lt
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from .registry import UsageError, nearest, registries

__all__ = [
    "Array",
    "Bound",
    "Callback",
    "Context",
    "DataContext",
    "Dataset",
    "Engine",
    "Initializer",
    "Layer",
    "Loss",
    "Metric",
    "Optimizer",
    "Parameter",
    "Preparation",
    "Run",
    "Schedule",
    "Spec",
    "Splits",
    "Table",
    "Task",
    "Transform",
    "UpdateRules",
    "UsageError",
    "check_range",
    "nearest",
    "rates",
    "register",
    "registries",
]

Array = NDArray[Any]
Spec = str | Mapping[str, Any]  # a component by name, or a mapping with its name and options
Task = Literal["classification", "regression"]
C = TypeVar("C", bound=type[Any])


def register(name: str) -> Callable[[C], C]:
    """Register the decorated class under ``name``; its base class says of which kind it is."""

    def add(cls: C) -> C:
        cls.name = name
        registries[cls.kind].add(name, cls, registries.provider)
        return cls

    return add


def check_range(
    name: str,
    value: float,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
) -> None:
    """Raise ``ValueError`` naming the option, its value and the bound it breaks (NaN breaks any)."""
    bounds = [
        ("at least", minimum, ge),
        ("more than", above, gt),
        ("at most", maximum, le),
        ("less than", below, lt),
    ]
    given = [(words, bound, holds) for words, bound, holds in bounds if bound is not None]
    if not all(holds(value, bound) for _, bound, holds in given):
        expected = " and ".join(f"{words} {bound}" for words, bound, _ in given)
        raise ValueError(f"{name} must be {expected}, not {value}")


# --- layers --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parameter:
    """A trained array of a layer.

    Args:
        shape: its shape.
        init: the initializer that fills it, a name or a mapping with ``name`` and options.
        fan_in, fan_out: inputs and outputs of the units that it feeds, for scaled initializers.
        decay: whether weight decay applies (to weights, not to biases).
    """

    shape: tuple[int, ...]
    init: Spec = "zeros"
    fan_in: int = 1
    fan_out: int = 1
    decay: bool = False


class Bound(NamedTuple):
    """A layer bound to its arrays: output ``y``, ∂loss/∂y ``dy``, and the two halves of a step.

    ``y`` and ``dy`` are contiguous and do not overlap.
    """

    y: Array
    dy: Array
    forward: Callable[[], object]
    backward: Callable[[], object]


class Context(Protocol):
    """What a layer or a loss may ask for while it is bound; later it is that of another one."""

    training: bool
    """Whether the plan trains (dropout drops, batch statistics are used) or evaluates."""
    state: Mapping[str, Array]
    """The layer's arrays that are kept but not trained, by name."""
    weights: Array | None
    """The weight of every row in the loss, ``(…, batch)``, with a mean of 1; ``None``: all are 1."""

    @property
    def rng(self) -> np.random.Generator:
        """The layer's own random stream."""

    def array(self, *shape: int) -> Array:
        """An array of the run's dtype, for what lives within a step.

        It is contiguous, what it holds at first is undefined, and other plans use the same memory: what
        is written while binding does not survive, so constants are arrays of the layer's own.
        """

    def within(self, prefix: str) -> Context:
        """The context of a layer inside this one, whose state's names begin with ``prefix``."""


class Layer(ABC):
    """A function of a batch, with parameters; both halves of its mathematics side by side.

    Written over the last two axes, ``(…, batch, features)``.
    """

    kind: ClassVar[str] = "layer"
    name: ClassVar[str]

    def n_out(self, n_in: int) -> int:
        """The number of output features for ``n_in`` input features."""
        return n_in

    def parameters(self, n_in: int) -> dict[str, Parameter]:
        """The trained arrays by name."""
        return {}

    def state(self, n_in: int) -> dict[str, Array]:
        """The arrays that are kept but not trained, by name, with their first values."""
        return {}

    def learn(self, x: Array, state: Mapping[str, Array]) -> None:
        """Set ``state`` from the training inputs ``(n, n_in)``, before training; for the first layer only."""

    @abstractmethod
    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        """Bind the layer to its arrays, once; a step then calls ``forward()`` and ``backward()``.

        Args:
            x: the input, ``(…, batch, n_in)``; not to be changed.
            dx: where ``backward`` writes ∂loss/∂x; ``None`` if nobody needs it.
            p, g: parameters and their gradients (to be overwritten), by name.
            ctx: hands out arrays, the random stream, state and mode.
        """


class Initializer(ABC):
    """Fills a parameter with its first values."""

    kind: ClassVar[str] = "initializer"
    name: ClassVar[str]

    @abstractmethod
    def fill(self, out: Array, parameter: Parameter, rng: np.random.Generator) -> None:
        """Fill ``out`` (float64, of the parameter's shape) in place."""


# --- losses --------------------------------------------------------------------------------------


Means = float | list[float]
"""The mean loss of a batch; where networks are stacked, of each."""


def means(totals: Array, factor: float) -> Means:
    """Sums over the last two axes, times a factor, as Python numbers."""
    plain: Means = totals.tolist()
    return [total * factor for total in plain] if isinstance(plain, list) else plain * factor


class Loss(ABC):
    """A mean over the batch of a function of the network's output and the target.

    Written over the last two axes, ``(…, batch, n_outputs)``.
    """

    kind: ClassVar[str] = "loss"
    name: ClassVar[str]
    tasks: ClassVar[tuple[Task, ...]]
    takes_probabilities: ClassVar[bool] = False
    """Whether the target of a classification may be probabilities ``(…, batch, classes)``."""

    @abstractmethod
    def rows(
        self, output: Array, d_output: Array, target: Array, losses: Array, ctx: Context
    ) -> Callable[[], object]:
        """Bind to the arrays; the result, called, writes every row's loss l and its own ∂l/∂output.

        Args:
            output, d_output: ``(…, batch, n_outputs)``, contiguous.
            target: class numbers ``(…, batch)`` of type intp, or values ``(…, batch, n_outputs)``: those of a
                regression, or the probabilities of classes.
            losses: ``(…, batch)``, contiguous.
        """

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


# --- optimizers and schedules --------------------------------------------------------------------


@dataclass(frozen=True)
class UpdateRules:
    """What every optimizer is driven with.

    Parameters are named as in ``0.linear.W``; a pattern may have ``*``, ``?`` and ``[…]``, as for files.

    Options:
        weight_decay: λ ≥ 0, applied to weights, not to biases.
        decoupled: false: coupled L2, g ← g + λ w before the update; true: w ← w − η λ w beside it.
        no_decay: patterns of parameters that have no weight decay, besides those that never have.
        clip_value: bring each element of the gradient into ± this value, > 0; null: never.
        clip_each: scale the gradient of each parameter array down to this Euclidean norm, > 0; null: never.
        clip_norm: scale the whole gradient down to this Euclidean norm, > 0; null: never.
        rates: factors ≥ 0 of the learning rate by pattern; where several match their product counts. 0
            freezes: neither updates nor decay change the parameter, and no norm counts its gradient.
    """

    weight_decay: float = 0.0
    decoupled: bool = False
    no_decay: list[str] = field(default_factory=list)
    clip_value: float | None = None
    clip_each: float | None = None
    clip_norm: float | None = None
    rates: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_range("weight_decay", self.weight_decay, minimum=0)
        for name in ("clip_value", "clip_each", "clip_norm"):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), above=0)
        for pattern, factor in self.rates.items():
            check_range(f"rates {pattern!r}", factor, minimum=0, below=float("inf"))

    @property
    def special(self) -> list[str]:
        """The rules in use that clip or single parameters out: all but the weight decay of all weights."""
        names = ("no_decay", "clip_value", "clip_each", "clip_norm", "rates")
        return [name for name in names if getattr(self, name) not in (None, [], {})]


class Optimizer(ABC):
    """An update rule on vectors.

    ``slots`` names its state vectors, each as long as the parameters and zero at first. With scope
    ``"element"`` every element's update depends on that element alone, so the driver may call it on
    any slice; with ``"tensor"`` it is called once for each parameter, with arrays of its shape. With
    ``"search"`` it evaluates the loss itself: ``search`` is called instead of ``update``, on one network.

    What the options decide may be set on the instance: ``default_lr``, ``slots``, ``scope``, ``evaluated``.
    All that an update depends on is in the slots and the number of the step.
    """

    kind: ClassVar[str] = "optimizer"
    name: ClassVar[str]
    default_lr: float
    slots: tuple[str, ...] = ()
    scope: Literal["element", "tensor", "search"] = "element"
    shared: UpdateRules = UpdateRules()
    evaluated: str | None = None
    """The slot that is evaluated and kept as the model, where those are not the weights that are trained."""

    def begin(self, w: Array, slots: Mapping[str, Array]) -> None:
        """Give the slots, zero until now, their first values, from the first weights ``w``."""

    @abstractmethod
    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        """Change ``w`` and ``slots`` in place; ``g`` stays as it is.

        Args:
            w, g, scratch: parameters, gradient, and room for one intermediate, all of one shape.
            slots: the state vectors by name.
            lr: the rate at this step; for replicas whose rates differ, an array that broadcasts.
            step: the number of this update, from 1.
        """

    def search(self, w: Array, g: Array, lr: float, evaluate: Callable[[], float]) -> None:
        """Change ``w`` in place to where the loss is lower; for the scope ``"search"``.

        Args:
            w, g: parameters and gradient, vectors.
            lr: the rate at this step.
            evaluate: writes the gradient at the present ``w`` into ``g`` and returns the loss there, both
                with coupled weight decay.
        """
        raise NotImplementedError

    def recurrence(self, lr: float) -> tuple[list[list[float]], list[float]] | None:
        """The update as a linear recurrence of a weight and its slots, z ← A z + B g with z = (w, slots).

        Returns ``(A, B)``, or ``None`` if the update is not linear in the gradient with these options.
        """
        return None


class Schedule(ABC):
    """The course of the learning rate: the rate at a step is ``lr * factor``.

    A reactive schedule names what it observes: the mean training loss of every ``window`` steps, or
    the validation loss of every epoch (the training loss where there is none). Its factor may change
    only in ``observe``, and it has state.
    """

    kind: ClassVar[str] = "schedule"
    name: ClassVar[str]
    observes: Literal["nothing", "window", "epoch"] = "nothing"
    window: int = 0

    @abstractmethod
    def factor(self, step: int, total_steps: int) -> float:
        """The factor for the update after ``step`` updates have been done, of ``total_steps``."""

    def factors(self, start: int, stop: int, total_steps: int) -> Sequence[float]:
        """``factor`` for the steps from ``start`` up to ``stop``."""
        return [self.factor(step, total_steps) for step in range(start, stop)]

    def observe(self, value: float) -> None:
        """Take note of an observed loss."""

    def state(self) -> dict[str, float]:
        """What a reactive schedule has to remember, as numbers."""
        return {}

    def restore(self, state: dict[str, float]) -> None:
        """Continue from what ``state()`` returned."""


# --- data ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """Inputs ``x`` ``(n, features)`` and targets ``y``: class numbers ``(n,)`` or values ``(n, k)``.

    ``x`` may be mapped from a file that is larger than the memory; in others NaN is a missing value.
    ``weights`` ``(n,)``, at least 0, say how much each row counts in the loss; ``None``: all the same.
    """

    x: Array
    y: Array
    weights: Array | None = None

    def __len__(self) -> int:
        return len(self.x)

    def part(self, rows: Any) -> Table:
        """The rows that a slice, mask or array of row numbers chooses."""
        return Table(self.x[rows], self.y[rows], None if self.weights is None else self.weights[rows])

    @property
    def mapping(self) -> mmap.mmap | None:
        """The mapped file that ``x`` lies in, if it does."""
        base: Any = self.x
        while base is not None and not isinstance(base, mmap.mmap):
            base = getattr(base, "base", None)
        return base

    def release(self) -> None:
        """Let go of the memory that a mapped file takes; it is read again where it is needed."""
        if self.mapping is not None:
            self.mapping.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class Splits:
    """A data set as loaded: its parts and what they are. A part that it does not have is ``None``.

    ``categorical`` are the columns of ``x`` that stand for categories and so are never standardised: 0 or 1
    each, or the numbers of the categories. The names of the latter are ``code_names`` by feature name.
    """

    train: Table
    validation: Table | None = None
    test: Table | None = None
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    image_shape: tuple[int, int] | None = None
    categorical: tuple[int, ...] = ()
    code_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        return "classification" if self.class_names else "regression"

    @property
    def n_outputs(self) -> int:
        return len(self.class_names) or self.train.y.shape[1]


@dataclass(frozen=True)
class Preparation:
    """What every data set is prepared with, where it does not bring the part itself.

    Options:
        validation: rows held out for validation: a number, or a fraction (below 1) of the training rows.
        test: rows held out for the test, in the same way.
        split: how rows are held out: "stratified" (random, every class in proportion), "random" or "last".
        standardize: subtract the mean and divide by the standard deviation of the training part.
        missing: what becomes of missing values: "error", "drop" (rows that have some are left out) or
            "impute" (the mean of the training part, also at prediction). A missing target is never imputed.
    """

    validation: int | float = 0.2
    test: int | float = 0.2
    split: str = "random"
    standardize: bool = False
    missing: str = "error"

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            value = getattr(self, name)
            check_range(name, value, minimum=0)
            if value >= 1 and value != int(value):
                raise ValueError(f"{name} must be a fraction below 1 or a number of rows, not {value}")
        if self.split not in ("stratified", "random", "last"):
            raise ValueError(f"split must be stratified, random or last, not {self.split!r}")
        if self.missing not in ("error", "drop", "impute"):
            raise ValueError(f"missing must be error, drop or impute, not {self.missing!r}")


@dataclass(frozen=True)
class DataContext:
    """Where data files are looked for, and the random stream for data that are drawn."""

    data_dir: Path
    rng: np.random.Generator


class Dataset(ABC):
    """Where the data come from."""

    kind: ClassVar[str] = "dataset"
    name: ClassVar[str]
    shared: Preparation = Preparation()

    @abstractmethod
    def load(self, context: DataContext) -> Splits:
        """Read or draw the data. Raises ``UsageError`` that says which file to put where."""


class Transform(ABC):
    """A random change of training rows, anew in every epoch; validation and test rows stay as they are.

    Written over images ``(n, height, width)``; rows that are no images come as ``(n, 1, features)``.
    """

    kind: ClassVar[str] = "transform"
    name: ClassVar[str]
    needs_images: ClassVar[bool] = True
    mixes: ClassVar[bool] = False
    """Whether it mixes rows: the targets of a classification are then probabilities ``(n, classes)``."""

    @abstractmethod
    def apply(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """The changed rows and targets; it may work in ``x`` and ``y``, which are copies, and return them.

        Args:
            x: ``(n, height, width)`` of the run's dtype.
            y: class numbers ``(n,)``, or values ``(n, k)``: probabilities where a transform of the run mixes.
            rng: the stream of this block of rows and this transform.
        """


class Metric(ABC):
    """A figure of merit of predictions."""

    kind: ClassVar[str] = "metric"
    name: ClassVar[str]
    tasks: ClassVar[tuple[Task, ...]]
    scalar: ClassVar[bool] = True
    """Whether the result is a number, computed after every epoch, or an array, computed at the end."""
    columns: ClassVar[tuple[str, ...]] = ()
    """What the columns of an array are where they are not the classes; its rows are."""

    @abstractmethod
    def compute(self, prediction: Array, target: Array) -> Any:
        """From ``Loss.predict``'s ``(n, n_outputs)`` and the targets, a float or an array."""


# --- the loop ------------------------------------------------------------------------------------


class Run(Protocol):
    """What a callback sees of the run and may do to it."""

    title: str
    epochs: int
    total_steps: int
    metric_names: list[str]
    """The metrics that every epoch has."""
    folder: Path
    """The run's folder; what lies in its ``figures/`` at the end is recorded."""

    @property
    def splits(self) -> Splits:
        """What the data are; their rows as loaded."""

    @property
    def train(self) -> Table:
        """The rows that are trained on, prepared; transforms have not been applied."""

    @property
    def epoch(self) -> int:
        """Epochs done."""

    @property
    def step(self) -> int:
        """Parameter updates done."""

    @property
    def lr(self) -> float:
        """The rate of the next update."""

    @property
    def latest(self) -> Mapping[str, float]:
        """The latest value of every metric."""

    def parameters(self) -> Mapping[str, Array]:
        """The weights that are trained, by name, as ``"0.linear.W"``; read-only, they change in training."""

    def gradients(self, rows: int) -> Mapping[str, Array]:
        """The gradient of the mean loss over the first ``rows`` training rows, by parameter.

        In training mode; random numbers and the layers' state are afterwards what they were.
        """

    def activations(self, x: Array) -> Mapping[str, Array]:
        """Every layer's outputs ``(n, width)`` for inputs ``(n, features)``, evaluated; by layer."""

    def predict(self, x: Array) -> Array:
        """Class probabilities, or values, ``(n, n_outputs)`` for inputs ``(n, features)``."""

    def log(self, values: Mapping[str, float]) -> None:
        """Record metrics at this step."""

    def stop(self, reason: str) -> None:
        """End the run after this block of batches."""

    def save(self, name: str) -> None:
        """Save all state as ``checkpoints/<name>.npz`` in the run's folder."""


class Callback(ABC):
    """Something that is done beside training."""

    kind: ClassVar[str] = "callback"
    name: ClassVar[str]

    def check(self, run: Run) -> None:
        """Before anything is recorded: raise ``UsageError`` if it cannot work in this run."""

    def on_start(self, run: Run) -> None:
        """Before the first step, also of a continued run."""

    def on_window(self, run: Run) -> None:
        """After every window of ``log_every`` steps."""

    def on_epoch(self, run: Run) -> None:
        """After every epoch and its validation."""

    def on_end(self, run: Run) -> None:
        """After the last step."""

    def on_failure(self, run: Run, error: BaseException) -> None:
        """When the run ends by an error or an interruption."""

    def state(self) -> dict[str, Any]:
        """What has to be remembered across a restart, as plain values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what ``state()`` returned."""


@dataclass(frozen=True)
class Block:
    """Consecutive batches: the rows of ``table`` to train on, ``batch_size`` at a time, and their rates."""

    table: Table
    rows: NDArray[np.intp]
    batch_size: int
    lrs: Sequence[float]


@dataclass
class Losses:
    """What a block of batches came to: the loss of each, and how many rows were classified rightly."""

    values: list[float] = field(default_factory=list)
    correct: int = 0


def split_losses(values: Sequence[Means], correct: Any, replicas: int) -> list[Losses]:
    """What every step came to, as one ``Losses`` for each replica."""
    counts = np.broadcast_to(correct, (replicas,)).tolist()
    columns = zip(*values, strict=True) if isinstance(values[0], list) else [values]
    return [Losses(list(column), count) for column, count in zip(columns, counts, strict=True)]


def rates(blocks: Sequence[Block], dtype: np.dtype[Any]) -> list[Any]:
    """The rate of every step: a number, or where the replicas' differ a column with one for each."""
    if all(block.lrs == blocks[0].lrs for block in blocks[1:]):
        return list(blocks[0].lrs)
    return [np.array(lrs, dtype)[:, None] for lrs in zip(*(block.lrs for block in blocks), strict=True)]


class Engine(ABC):
    """How a block of batches is run."""

    kind: ClassVar[str] = "engine"
    name: ClassVar[str]

    @abstractmethod
    def refuses(self, network: Any, updater: Any) -> str | None:
        """Why this engine is not exact for the network and optimizer; ``None`` if it is."""

    def suits(self, network: Any, batch_size: int) -> bool:
        """Whether ``engine=auto`` may take it: it is known to be the fastest for such a network and batch."""
        return True

    @abstractmethod
    def bind(self, network: Any, updater: Any) -> None:
        """Work on this network and optimizer from now on."""

    @abstractmethod
    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        """Train on the batches of a block, in order: one block for each replica, all of one length."""
