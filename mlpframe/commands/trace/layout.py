"""The content of a trace: text, formulas and tables, in the order of the computation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import exp
from typing import Literal

from ...analysis.by_hand import ACTIVATIONS, STEP, Example, Stage, Trace

NUMBERS = "with numbers"
"""The heading of the column that shows a formula with its numbers filled in."""

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

NEAR_KINK = 1e-3
"""If |k| is smaller than this, a finite difference may cross the kink of relu."""


@dataclass(frozen=True)
class Block:
    """Lines of text and formulas with a table below. A block without a title continues the previous block."""

    title: str
    lines: Sequence[str] = ()
    headings: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Names:
    """The names of a stage's inputs, weights, biases, sums and activations."""

    number: int
    x: str
    W: str
    b: str
    k: str
    h: str

    @classmethod
    def of(cls, number: int, stages: int) -> Names:
        below, own = (str(n).translate(SUBSCRIPTS) for n in (number - 1, number))
        x = "x" if number == 1 else f"h{below}"
        return cls(number, x, f"W{own}", f"b{own}", "o" if number == stages else f"k{own}", f"h{own}")

    def parameters(self, stage: Stage) -> list[str]:
        rows, columns = range(len(stage.x)), range(len(stage.b))
        return [f"{self.W}[{i},{j}]" for i in rows for j in columns] + [f"{self.b}[{j}]" for j in columns]


class Decimals:
    """Numbers as text.

    Args:
        digits: number of decimals. A number that would round to 0 is written with an exponent.
    """

    def __init__(self, digits: int) -> None:
        self.digits = digits

    def number(self, value: float) -> str:
        if value and abs(value) < 0.5 * 10**-self.digits:
            return f"{value:.1e}"
        return f"{value + 0.0:.{self.digits}f}"  # adding 0 turns −0 into 0

    def numbers(self, values: Iterable[float]) -> list[str]:
        return [self.number(value) for value in values]

    def factor(self, value: float) -> str:
        """The number as a factor of a product: without zeros at the end, in parentheses if negative."""
        text = self.number(value)
        text = text if "e" in text else text.rstrip("0").rstrip(".")
        return f"({text})" if text.startswith("-") else text

    def products(self, left: Iterable[float], right: Iterable[float]) -> str:
        return " + ".join(f"{self.factor(a)}·{self.factor(b)}" for a, b in zip(left, right, strict=True))


def blocks(trace: Trace, digits: int) -> Iterator[Block]:
    """The parts of the trace in the order of the computation."""
    text, example, stages = Decimals(digits), trace.example, trace.by_hand.stages
    names = [Names.of(n, len(stages)) for n in range(1, len(stages) + 1)]
    yield Block(f"One example through {example.shape}", _introduction(example))
    for name, stage in zip(names, stages, strict=True):
        yield _weights(name, stage, text)
    for name, stage in zip(names, stages, strict=True):
        yield _forward(name, stage, example.activation, text)
    yield from _loss_blocks(trace, text)
    for n in reversed(range(len(stages))):
        if stages[n].h:
            yield _backward(names[n], stages[n], names[n + 1], stages[n + 1], example.activation, text)
        yield _update(names[n], stages[n], example.lr, text)
    yield from _three_ways(trace, names, text)


def _introduction(example: Example) -> list[str]:
    units = f"{example.activation} in the hidden layers, " if example.hidden else ""
    output = "linear outputs" if example.loss == "mse" else "softmax"
    goal, source = example.goal, f"N(0, 1) of seed {example.seed or 0}, biases 0"
    if example.has_report_weights:
        source = "those of the report's example"
    elif example.weights is not None:
        source = "as given"
    target = f"targets t = {_vector(goal)}" if isinstance(goal, list) else f"true class {goal}"
    return [
        f"{units}{output}, loss {example.loss}",
        f"x = {_vector(example.x)}, {target}, learning rate α = {example.lr:g}",
        f"Weights: {source}",
        "W₁[i,j] leads from input i to unit j of the first layer; positions and classes count from 0.",
    ]


def _weights(name: Names, stage: Stage, text: Decimals) -> Block:
    headings = [name.W, *(f"unit {j}" for j in range(len(stage.b)))]
    rows = [[f"input {i}", *text.numbers(row)] for i, row in enumerate(stage.W)]
    return Block("", (), headings, [*rows, [name.b, *text.numbers(stage.b)]])


def _forward(name: Names, stage: Stage, activation: str, text: Decimals) -> Block:
    columns = zip(*stage.W, strict=True)
    sums = [
        f"{text.products(stage.x, column)} + {text.factor(b)}"
        for column, b in zip(columns, stage.b, strict=True)
    ]
    lines = [f"{name.k}[j] = Σᵢ {name.x}[i]·{name.W}[i,j] + {name.b}[j]"]
    if not stage.h:
        rows = _numbered(sums, text.numbers(stage.k))
        return Block("Forward: outputs", lines, ["j", NUMBERS, f"{name.k}[j]"], rows)
    lines.append(f"{name.h}[j] = {ACTIVATIONS[activation].formula.format(k=f'{name.k}[j]')}")
    rows = _numbered(sums, text.numbers(stage.k), text.numbers(stage.h))
    headings = ["j", NUMBERS, f"{name.k}[j]", f"{name.h}[j]"]
    return Block(f"Forward: hidden layer {name.number}", lines, headings, rows)


def _loss_blocks(trace: Trace, text: Decimals) -> Iterator[Block]:
    """The loss and its derivative with respect to the outputs o."""
    worked, goal = trace.by_hand, trace.example.goal
    o, do, y, loss = worked.stages[-1].k, worked.stages[-1].dk, worked.y, text.number(worked.loss)
    if isinstance(goal, list):
        n = len(o)
        lines = [f"l = Σⱼ (o[j] − t[j])² / {n} = {loss}", f"∂l/∂o[j] = 2·(o[j] − t[j]) / {n}"]
        differences = [a - t for a, t in zip(o, goal, strict=True)]
        columns = (o, goal, differences, [d * d for d in differences], do)
        headings = ["j", "o[j]", "t[j]", "o[j] − t[j]", "(o[j] − t[j])²", "∂l/∂o[j]"]
        yield Block("Loss and its derivative", lines, headings, _numbered(*map(text.numbers, columns)))
        return
    powers = [exp(value) for value in o]
    total = text.factor(sum(powers))
    lines = ["y[j] = exp(o[j]) / Σᵢ exp(o[i])"]
    calculations = [f"{text.factor(power)} / {total}" for power in powers]
    rows = _numbered(text.numbers(o), text.numbers(powers), calculations, text.numbers(y))
    yield Block("Forward: softmax", lines, ["j", "o[j]", "exp(o[j])", NUMBERS, "y[j]"], rows)
    yield Block("Forward: loss", [f"l = −log y[{goal}] = −log {text.number(y[goal])} = {loss}"])
    lines = [
        f"∂l/∂y[{goal}] = −1 / y[{goal}], 0 for the other classes",
        "∂y[i]/∂o[j] = y[i]·(1 − y[i]) for i = j, −y[i]·y[j] otherwise",
    ]
    headings = ["i", "∂l/∂y[i]", *(f"∂y[i]/∂o[{j}]" for j in range(len(o)))]
    rows = _numbered(text.numbers(worked.dy), *map(text.numbers, zip(*worked.jacobian, strict=True)))
    yield Block("Backward: loss and softmax", lines, headings, rows)
    lines = [
        "∂l/∂o[j] = Σᵢ ∂l/∂y[i]·∂y[i]/∂o[j], and the same in one step:",
        f"∂l/∂o[j] = y[j] − δ[j], δ[{goal}] = 1, 0 for the other classes",
    ]
    calculations = [text.products(worked.dy, column) for column in zip(*worked.jacobian, strict=True)]
    at_once = [probability - (j == goal) for j, probability in enumerate(y)]
    rows = _numbered(calculations, text.numbers(do), text.numbers(at_once))
    yield Block("", lines, ["j", NUMBERS, "∂l/∂o[j]", "y[j] − δ[j]"], rows)


def _backward(
    name: Names, stage: Stage, upper: Names, above: Stage, activation: str, text: Decimals
) -> Block:
    """Compute this layer's ∂l/∂k from the ∂l/∂k of the layer above."""
    h, k = f"{name.h}[i]", f"{name.k}[i]"
    lines = [
        f"∂l/∂{h} = Σⱼ ∂l/∂{upper.k}[j]·∂{upper.k}[j]/∂{h},  ∂{upper.k}[j]/∂{h} = {upper.W}[i,j]",
        f"∂l/∂{k} = ∂l/∂{h}·∂{h}/∂{k},  ∂{h}/∂{k} = {ACTIVATIONS[activation].slope_formula.format(h=h, k=k)}",
    ]
    sums = [text.products(above.dk, row) for row in above.W]
    rows = _numbered(sums, *map(text.numbers, (stage.dh, stage.slope, stage.dk)))
    headings = ["i", NUMBERS, f"∂l/∂{h}", f"∂{h}/∂{k}", f"∂l/∂{k}"]
    return Block(f"Backward: hidden layer {name.number}", lines, headings, rows)


def _update(name: Names, stage: Stage, lr: float, text: Decimals) -> Block:
    """One row for each weight and bias: its gradient as a product of two derivatives, and its update."""
    lines = [
        f"∂l/∂{name.W}[i,j] = ∂{name.k}[j]/∂{name.W}[i,j]·∂l/∂{name.k}[j],  "
        f"∂{name.k}[j]/∂{name.W}[i,j] = {name.x}[i],  ∂{name.k}[j]/∂{name.b}[j] = 1",
        f"Δw = −α·∂l/∂w = −{lr:g}·∂l/∂w,  new w = w + Δw",
    ]
    local = [value for value in stage.x for _ in stage.b] + [1.0] * len(stage.b)
    upstream = stage.dk * (len(stage.x) + 1)
    values = [w for row in (*stage.W, stage.b) for w in row]
    changes = [-lr * gradient for gradient in stage.gradient]
    new = [w + change for w, change in zip(values, changes, strict=True)]
    columns = map(text.numbers, (values, local, upstream, stage.gradient, changes, new))
    rows = list(zip(name.parameters(stage), *columns, strict=True))
    headings = ["w", "value", f"∂{name.k}[j]/∂w", f"∂l/∂{name.k}[j]", "∂l/∂w", "Δw", "new w"]
    return Block(f"Gradients and update: {name.W}, {name.b}", lines, headings, rows)


def _three_ways(trace: Trace, names: Sequence[Names], text: Decimals) -> Iterator[Block]:
    """The three gradients side by side, and their largest differences."""
    worked = trace.by_hand
    lines = [
        "Computed in plain Python as above, by the network's layers in NumPy, and by the central finite",
        f"difference (l(w + ε) − l(w − ε)) / 2ε of the network, ε = {STEP:g}. All in double precision.",
    ]
    stages = list(zip(names, worked.stages, strict=True))
    parameters = [f"∂l/∂{parameter}" for name, stage in stages for parameter in name.parameters(stage)]
    ways = (worked.gradient, trace.by_network, trace.by_differences)
    spreads = [f"{max(values) - min(values):.1e}" for values in zip(*ways, strict=True)]
    losses = worked.loss, trace.loss_by_network
    first = ("l", *text.numbers(losses), "", f"{max(losses) - min(losses):.1e}")
    rows = [first, *zip(parameters, *map(text.numbers, ways), spreads, strict=True)]
    headings = ["", "plain Python", "NumPy", "finite difference", "largest deviation"]
    yield Block("Three computations", lines, headings, rows)

    network, difference = trace.deviations
    lines = [f"Largest deviation from plain Python: NumPy {network:.1e}, finite difference {difference:.1e}."]
    if trace.example.activation == "relu":
        hidden = stages[:-1]
        kinks = [f"{n.k}[{j}]" for n, s in hidden for j, k in enumerate(s.k) if abs(k) < NEAR_KINK]
        if kinks:
            lines.append(
                f"relu has no derivative at 0, where mlpframe takes 0. At or near 0: {', '.join(kinks)}."
            )
    yield Block("", lines)


def _numbered(*columns: Iterable[str]) -> list[tuple[str, ...]]:
    """Turn columns into rows. Each row begins with its number."""
    return [(str(i), *row) for i, row in enumerate(zip(*columns, strict=True))]


def _vector(values: Iterable[float]) -> str:
    return f"({', '.join(f'{value:g}' for value in values)})"


def justify(column: int, heading: str) -> Literal["left", "right"]:
    return "left" if column == 0 or heading == NUMBERS else "right"
