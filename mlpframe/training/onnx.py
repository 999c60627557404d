"""Build the ONNX graph of a network: every layer, and the loss, adds its own nodes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import __version__
from ..api import Array, UsageError
from .network import Network, under

try:
    import onnx
except ModuleNotFoundError as error:
    raise UsageError("ONNX needs the package onnx: pip install 'mlpframe[onnx]'") from error

OPSETS = {"": 21, "ai.onnx.ml": 3}
"""The version of each operator set. onnxruntime supports these versions since 1.18, of May 2024."""
IR_VERSION = 10
"""The version of ONNX's file format that belongs to operator set 21."""


def onnx_model(network: Network) -> onnx.ModelProto:
    """A network as an ONNX model, from inputs to predictions in evaluation mode.

    The model maps ``x``, ``(rows, n_in)``, to ``prediction``, ``(rows, n_outputs)``: class probabilities, or
    values. Both have the network's dtype. The number of rows is free.

    Raises:
        UsageError: a layer or the loss has no method ``onnx`` that adds its nodes.
    """
    graph = OnnxGraph(network.dtype)
    prediction = add_network(graph, network, graph.input("x", network.n_in))
    graph.output("prediction", prediction, network.widths[-1])
    return graph.model()


def add_network(graph: OnnxGraph, network: Network, x: str) -> str:
    """Add the nodes of all layers and of the loss's prediction; returns the name of the prediction.

    Args:
        graph: the graph, which may already have nodes that compute the network's input.
        network: the trained network.
        x: the name of the input, ``(rows, n_in)`` of the network's dtype.
    """
    parameters = network.views(network.w)
    graph.name_constants({**parameters, **network.state})
    for i, layer in enumerate(network.layers):
        prefix = network.prefix(i)
        p, state = under(prefix, parameters), under(prefix, network.state)
        x = layer.onnx(graph, x, network.widths[i], p, state)
    return network.loss.onnx(graph, x)


class OnnxGraph:
    """Builds an ONNX model: add inputs, then nodes (see ``api.Graph``), then outputs; at last call ``model``.

    Args:
        dtype: the type of numbers and arrays of floats that become constants: float32 or float64. Operators
            that onnxruntime has in float32 only become several nodes in float64. Whoever builds a graph may
            change ``dtype`` between two nodes.
        names: the names of inputs and outputs, which the values between them do not get.
    """

    def __init__(self, dtype: DTypeLike, names: Collection[str] = ()) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._names = frozenset(names)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._named: list[tuple[str, Array]] = []

    def input(self, name: str, width: int, dtype: DTypeLike | None = None) -> str:
        """Add an input ``(rows, width)`` of the graph's dtype, or of ``dtype`` (``object``: text)."""
        self._inputs.append(self._value(name, width, dtype))
        return name

    def output(self, name: str, value: str, width: int, dtype: DTypeLike | None = None) -> None:
        """Make ``value``, the output ``(rows, width)`` of a node, an output of the model, named ``name``."""
        self._nodes.append(onnx.helper.make_node("Identity", [value], [name]))
        self._outputs.append(self._value(name, width, dtype))

    def name_constants(self, arrays: Mapping[str, Array]) -> None:
        """Name constants: if a node gets one of these arrays as input, its constant gets the array's name."""
        self._named += arrays.items()

    def node(self, operator: str, *inputs: str | Array | float, domain: str = "", **attributes: Any) -> str:
        if self.dtype == np.float64 and operator in FLOAT32_ONLY:
            return FLOAT32_ONLY[operator](self, *inputs, **attributes)
        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        output = other_than(self._names, f"{operator}_{len(self._nodes)}")
        values = {key: _attribute(value) for key, value in attributes.items()}
        self._nodes.append(onnx.helper.make_node(operator, names, [output], output, domain=domain, **values))
        return output

    def model(self, metadata: Mapping[str, str] | None = None) -> onnx.ModelProto:
        """The finished model, checked: every operator gets inputs and attributes that it takes.

        Args:
            metadata: texts by name that the file keeps for those who read it.
        """
        constants = list(self._constants.values())
        graph = onnx.helper.make_graph(self._nodes, "mlpframe", self._inputs, self._outputs, constants)
        domains = {node.domain for node in self._nodes}
        opsets = [onnx.helper.make_opsetid(domain, OPSETS[domain]) for domain in sorted(domains)]
        model = onnx.helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name="mlpframe",
            producer_version=__version__,
        )
        onnx.helper.set_model_props(model, metadata or {})
        onnx.checker.check_model(model, full_check=True)
        return model

    def _value(self, name: str, width: int, dtype: DTypeLike | None) -> onnx.ValueInfoProto:
        number = _type_number(self.dtype if dtype is None else dtype)
        return onnx.helper.make_tensor_value_info(name, number, ["rows", width])

    def _constant(self, value: Array | float) -> str:
        names = (name for name, array in self._named if array is value)
        name = other_than(self._names, next(names, f"constant_{len(self._constants)}"))
        array = np.asarray(value, order="C")
        if isinstance(value, int | float) or array.dtype.kind == "f":
            array = array.astype(self.dtype)
        self._constants[name] = onnx.numpy_helper.from_array(array, name)
        return name


def other_than(taken: Collection[str], name: str) -> str:
    """The name, with ``_`` at its end while it is one of the names ``taken``."""
    while name in taken:
        name += "_"
    return name


def _type_number(dtype: DTypeLike) -> int:
    number: int = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return number


def _attribute(value: Any) -> Any:
    return _type_number(value) if isinstance(value, type | np.dtype) else value


# --- operators that onnxruntime has in float32 only: for float64, they are built from other operators ------


def _leaky_relu(graph: OnnxGraph, x: str, alpha: float = 0.01) -> str:
    return _prelu(graph, x, alpha)


def _prelu(graph: OnnxGraph, x: str, slope: str | Array | float) -> str:
    return graph.node("Add", graph.node("Relu", x), graph.node("Mul", graph.node("Min", x, 0.0), slope))


def _elu(graph: OnnxGraph, x: str, alpha: float = 1.0) -> str:
    below = graph.node("Sub", graph.node("Exp", graph.node("Min", x, 0.0)), 1.0)
    return graph.node("Add", graph.node("Relu", x), graph.node("Mul", below, alpha))


def _selu(
    graph: OnnxGraph, x: str, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805
) -> str:
    return graph.node("Mul", _elu(graph, x, alpha), gamma)


def _softplus(graph: OnnxGraph, x: str) -> str:
    power = graph.node("Exp", graph.node("Neg", graph.node("Abs", x)))
    return graph.node("Add", graph.node("Relu", x), graph.node("Log", graph.node("Add", power, 1.0)))


def _mish(graph: OnnxGraph, x: str) -> str:
    return graph.node("Mul", x, graph.node("Tanh", _softplus(graph, x)))


def _softsign(graph: OnnxGraph, x: str) -> str:
    return graph.node("Div", x, graph.node("Add", graph.node("Abs", x), 1.0))


def _hard_sigmoid(graph: OnnxGraph, x: str, alpha: float = 0.2, beta: float = 0.5) -> str:
    return graph.node("Clip", graph.node("Add", graph.node("Mul", x, alpha), beta), 0.0, 1.0)


def _erf(graph: OnnxGraph, x: str) -> str:
    """erf x = 2x/√π ∫₀¹ exp(−x²s²) ds by Gauss–Legendre quadrature: 24 points give 15 digits for |x| ≤ 6."""
    s, weights = np.polynomial.legendre.leggauss(24)  # on [−1, 1]; on [0, 1], the points are (s + 1) / 2
    x = graph.node("Clip", x, -6.0, 6.0)  # outside [−6, 6], erf x is ±1 to the last digit
    xs = graph.node("Mul", graph.node("Unsqueeze", x, np.array([-1])), (s + 1) / 2)
    powers = graph.node("Exp", graph.node("Neg", graph.node("Mul", xs, xs)))
    return graph.node("Mul", x, graph.node("MatMul", powers, weights / sqrt(pi)))


def _gelu(graph: OnnxGraph, x: str, approximate: str = "none") -> str:
    if approximate == "tanh":
        cubic = graph.node("Mul", graph.node("Mul", x, x), 0.044715)
        u = graph.node("Mul", graph.node("Mul", x, graph.node("Add", cubic, 1.0)), sqrt(2 / pi))
        s = graph.node("Tanh", u)
    else:
        s = _erf(graph, graph.node("Mul", x, sqrt(0.5)))
    return graph.node("Mul", x, graph.node("Mul", graph.node("Add", s, 1.0), 0.5))


FLOAT32_ONLY: dict[str, Callable[..., str]] = {
    "Elu": _elu,
    "Erf": _erf,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _leaky_relu,
    "Mish": _mish,
    "PRelu": _prelu,
    "Selu": _selu,
    "Softplus": _softplus,
    "Softsign": _softsign,
}
