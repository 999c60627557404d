"""The derivations of questions 1, 2 and 6. Each formula is compared with other computations of its value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import ArrayLike

from ...analysis.by_hand import STEP, Example, Vector, by_hand
from ...registry import registries
from ...training.network import Network, build_layers
from ...training.rng import Streams

OUTPUTS, TRUE = [0.3, -1.2, 2.0, 0.7], 3
"""The outputs and the true class (counted from 0) that check the formulas of questions 1 and 2."""
WIDTHS, ROWS = (4, 5, 3), 6
"""The layer widths and the batch size that check the formulas of question 6."""


@dataclass(frozen=True)
class Derivation:
    """A formula in TeX, its meaning, and its largest differences from other computations of its value."""

    formula: str
    words: str
    checks: Sequence[tuple[str, float]]


def softmax(o: Vector) -> Vector:
    powers = [exp(value) for value in o]
    return [power / sum(powers) for power in powers]


def _softmax_at(i: int) -> Callable[[Vector], float]:
    return lambda o: softmax(o)[i]


def questions_1_and_2() -> list[Derivation]:
    """The local derivatives of log-likelihood and softmax, and their product."""
    y = softmax(OUTPUTS)
    n = range(len(OUTPUTS))
    dy = [-1 / y[i] if i == TRUE else 0.0 for i in n]
    jacobian = [[y[i] * (1 - y[i]) if i == j else -y[i] * y[j] for j in n] for i in n]
    product = [sum(dy[i] * jacobian[i][j] for i in n) for j in n]
    at_once = [y[i] - (i == TRUE) for i in n]
    layered = _output_gradient(["softmax"], "nll")
    return [
        Derivation(
            r"l = -\log y_c: \quad \frac{\partial l}{\partial y_c} = -\frac{1}{y_c}, \quad"
            r"\frac{\partial l}{\partial y_i} = 0 \;\;(i \neq c)",
            "the loss of the true class c",
            [("finite difference", _largest_difference(dy, _slopes(lambda v: -log(v[TRUE]), y)))],
        ),
        Derivation(
            r"y_i = \frac{e^{o_i}}{\sum_j e^{o_j}}: \quad"
            r"\frac{\partial y_i}{\partial o_j} = y_i (\delta_{ij} - y_j)",
            "the softmax",
            [
                (
                    "finite difference",
                    max(_largest_difference(jacobian[i], _slopes(_softmax_at(i), OUTPUTS)) for i in n),
                ),
            ],
        ),
        Derivation(
            r"\frac{\partial l}{\partial o_j} = \sum_i \frac{\partial l}{\partial y_i}"
            r"\frac{\partial y_i}{\partial o_j} = y_j - \delta_{jc}",
            "the product of the two; question 2 remarks that writing out the short form is not strictly "
            "needed",
            [
                ("the product of the local derivatives", _largest_difference(at_once, product)),
                ("layers softmax and nll", _largest_difference(at_once, layered)),
                ("loss cross_entropy", _largest_difference(at_once, _output_gradient([], "cross_entropy"))),
                (
                    "finite difference",
                    _largest_difference(at_once, _slopes(lambda v: -log(softmax(v)[TRUE]), OUTPUTS)),
                ),
            ],
        ),
    ]


def question_6() -> list[Derivation]:
    """The gradients over a batch as matrix products, compared with the mean of single examples by hand."""
    rng = np.random.default_rng(0)
    x, classes = rng.standard_normal((ROWS, WIDTHS[0])), rng.integers(0, WIDTHS[2], ROWS)
    layers = build_layers([{"name": "linear", "units": WIDTHS[1]}, "sigmoid", "linear"], WIDTHS[2])
    network = Network(
        layers, registries["loss"].create("cross_entropy"), WIDTHS[0], classes, "float64", Streams(0)
    )
    network.w[...] = rng.standard_normal(network.w.shape)
    plan = network.plan(ROWS, training=True)
    plan.x[...], plan.target[...] = x, classes
    plan.step()
    W, b, V, c = network.views(network.w).values()
    by_layers = dict(zip("WbVc", network.views(network.g).values(), strict=True))

    weights = [(W.tolist(), b.tolist()), (V.tolist(), c.tolist())]
    single = []
    for row, true in zip(x.tolist(), classes.tolist(), strict=True):
        example = Example(x=row, hidden=[WIDTHS[1]], outputs=WIDTHS[2], target=[float(true)])
        first, last = by_hand(example, weights).stages
        single.append({"W": first.dW, "b": first.dk, "V": last.dW, "c": last.dk})
    loops = {name: np.mean([np.array(gradients[name]) for gradients in single], 0) for name in "WbVc"}

    H = 1 / (1 + np.exp(-(x @ W + b)))
    powers = np.exp(H @ V + c)
    dO = (powers / powers.sum(1, keepdims=True) - np.eye(WIDTHS[2])[classes]) / ROWS
    dK = dO @ V.T * H * (1 - H)
    products = {"V": H.T @ dO, "c": dO.sum(0), "W": x.T @ dK, "b": dK.sum(0)}

    def checks(names: str) -> list[tuple[str, float]]:
        return [
            ("mean over examples, by loops", max(_largest_difference(products[n], loops[n]) for n in names)),
            ("the layers of mlpframe", max(_largest_difference(products[n], by_layers[n]) for n in names)),
        ]

    return [
        Derivation(
            r"O^\nabla = \frac{1}{N}(Y - T), \quad V^\nabla = H^T O^\nabla, \quad c^\nabla = {O^\nabla}^T 1",
            "the output layer, O = H V + 1 cᵀ; T has the true classes one-hot, N is the size of the batch",
            checks("Vc"),
        ),
        Derivation(
            r"H^\nabla = O^\nabla V^T, \quad K^\nabla = H^\nabla \circ H \circ (1 - H), \quad"
            r"W^\nabla = X^T K^\nabla, \quad b^\nabla = {K^\nabla}^T 1",
            "the hidden layer, K = X W + 1 bᵀ, H = sigmoid(K)",
            checks("Wb"),
        ),
    ]


def _slopes(function: Callable[[Vector], float], at: Vector) -> Vector:
    """The central finite differences of a function of a list."""

    def shifted(i: int, by: float) -> float:
        return function([value + by * (k == i) for k, value in enumerate(at)])

    return [(shifted(i, STEP) - shifted(i, -STEP)) / (2 * STEP) for i in range(len(at))]


def _output_gradient(layers: Sequence[str], loss: str) -> Vector:
    """∂l/∂o computed by a network.

    The network's first layer produces the outputs as o = 0 · x + b, so the gradient of its bias is ∂l/∂o.
    """
    linear = {"name": "linear", "units": len(OUTPUTS), "init": "zeros"}
    built = build_layers([linear, *layers], len(OUTPUTS))
    network = Network(built, registries["loss"].create(loss), 1, np.zeros(1, np.intp), "float64", Streams(0))
    network.views(network.w)["0.linear.b"][...] = OUTPUTS
    plan = network.plan(1, training=True)
    plan.x[...], plan.target[...] = 0, TRUE
    plan.step()
    gradient: Vector = network.views(network.g)["0.linear.b"].tolist()
    return gradient


def _largest_difference(first: ArrayLike, second: ArrayLike) -> float:
    """The largest absolute difference between two arrays."""
    return float(np.abs(np.asarray(first) - np.asarray(second)).max())
