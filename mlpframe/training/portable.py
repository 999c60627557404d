"""Export a model as a file of weights and a Python file that needs only NumPy."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..api import Array, UsageError
from .data.table.columns import LeftOut
from .network import Network, under
from .predictor import Predictor

WEIGHTS, CODE = "weights.npz", "model.py"
TEMPLATE = Path(__file__).with_name("portable_model.py")
"""The template of the exported Python file. The network in the template has no layers."""
PLACE = "    return w[x]\n"
"""The line of the template that the code of the layers replaces."""
SHORT = 4
"""Arrays of at most this many integers are written into ``model.py``, larger arrays into ``weights.npz``."""

EXPRESSIONS = {
    "Abs": "np.abs({0})",
    "Add": "{0} + {1}",
    "BatchNormalization": "({0} - {3}) / np.sqrt({4} + {epsilon}) * {1} + {2}",
    "Cast": "{0}.astype({to})",
    "Clip": "np.clip({0}, {1}, {2})",
    "Div": "{0} / {1}",
    "Elu": "np.where({0} > 0, {0}, {alpha} * np.expm1(np.minimum({0}, 0)))",
    "Equal": "{0} == {1}",
    "Exp": "np.exp({0})",
    "Gather": "np.take({0}, {1}, {axis})",
    "HardSigmoid": "np.clip({alpha} * {0} + {beta}, 0, 1)",
    "Identity": "{0}",
    "LeakyRelu": "np.where({0} > 0, {0}, {alpha} * {0})",
    "Log": "np.log({0})",
    "MatMul": "{0} @ {1}",
    "Max": "np.maximum({0}, {1})",
    "Min": "np.minimum({0}, {1})",
    "Mul": "{0} * {1}",
    "Neg": "-{0}",
    "PRelu": "np.where({0} > 0, {0}, {1} * {0})",
    "Pow": "{0} ** {1}",
    "ReduceMax": "{0}.max({1}, keepdims={keepdims})",
    "ReduceMean": "{0}.mean({1}, keepdims={keepdims})",
    "ReduceSum": "{0}.sum({1}, keepdims={keepdims})",
    "Relu": "np.maximum({0}, 0)",
    "Reshape": "{0}.reshape({1})",
    "Round": "np.rint({0})",
    "Selu": "{gamma} * np.where({0} > 0, {0}, {alpha} * np.expm1(np.minimum({0}, 0)))",
    "Sigmoid": "1 / (1 + np.exp(-np.clip({0}, -80, 80)))",
    "Softplus": "np.logaddexp({0}, 0)",
    "Softsign": "{0} / (1 + np.abs({0}))",
    "Sqrt": "np.sqrt({0})",
    "Sub": "{0} - {1}",
    "Tanh": "np.tanh({0})",
    "Mish": "{0} * np.tanh(np.logaddexp({0}, 0))",
    "Unsqueeze": "np.expand_dims({0}, {1})",
    "Where": "np.where({0}, {1}, {2})",
}
"""ONNX operators as NumPy code: ``{0}`` is the first input, ``{alpha}`` the attribute ``alpha``."""
CALLS = {"Erf": "erf({0})", "Gelu": "gelu({0}, {approximate})", "LogSoftmax": "log_softmax({0})"}
CALLS |= {"LayerNormalization": "layer_norm({0}, {1}, {2}, {epsilon})", "Softmax": "softmax({0})"}
"""ONNX operators that become the call of a function in ``FUNCTIONS``."""
FUNCTIONS = {
    "Erf": """def erf(x: Any) -> Any:
    return np.vectorize(math.erf, otypes=[x.dtype])(x)""",
    "Gelu": """def gelu(x: Any, approximate: str) -> Any:
    if approximate == "tanh":
        return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    return x * np.vectorize(lambda one: math.erfc(-one / math.sqrt(2)) / 2, otypes=[x.dtype])(x)""",
    "LayerNormalization": """def layer_norm(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon) * gamma + beta""",
    "LogSoftmax": """def log_softmax(x: Any) -> Any:
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))""",
    "Softmax": """def softmax(x: Any) -> Any:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)""",
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "BatchNormalization": {"epsilon": 1e-5},
    "Elu": {"alpha": 1.0},
    "Gather": {"axis": 0},
    "Gelu": {"approximate": "none"},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "LayerNormalization": {"epsilon": 1e-5},
    "LeakyRelu": {"alpha": 0.01},
    "ReduceMax": {"keepdims": 1},
    "ReduceMean": {"keepdims": 1},
    "ReduceSum": {"keepdims": 1},
    "Selu": {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
}
"""The default values of the attributes of ONNX operators (https://onnx.ai/onnx/operators)."""


class PythonGraph:
    """A graph that turns every node into a line of NumPy code (see ``api.Graph``).

    Args:
        dtype: the type of arrays of floats.
        named: arrays by name. If a node gets one of these arrays as input, the array keeps its name in ``w``.
    """

    def __init__(self, dtype: np.dtype[Any], named: Mapping[str, Array]) -> None:
        self.dtype, self.named = dtype, named
        self.lines: list[str] = []
        self.functions: dict[str, str] = {}
        self.constants: dict[str, Array] = {}

    def node(self, operator: str, *inputs: str | Array | float, domain: str = "", **attributes: Any) -> str:
        values = [self._value(value) for value in inputs]
        given = {key: _attribute(value) for key, value in attributes.items()}
        if operator == "Concat" and not domain:
            expression = f"np.concatenate([{', '.join(values)}], {given['axis']})"
        elif operator == "Gemm" and not domain and not given:
            expression = " + ".join([f"{values[0]} @ {values[1]}", *values[2:]])
        else:
            expression = self._expression(operator, domain, values, given)
        name = f"x{len(self.lines) + 1}"
        self.lines.append(f"{name} = {expression}")
        return name

    def _expression(self, operator: str, domain: str, values: Sequence[str], given: Mapping[str, str]) -> str:
        defaults = {key: _attribute(value) for key, value in DEFAULTS.get(operator, {}).items()}
        known = {"Cast": ["to"]}.get(operator, list(defaults))
        expression = {**EXPRESSIONS, **CALLS}.get(operator)
        if expression is None or domain or set(given) - set(known):
            what = f"{domain}.{operator}".strip(".") + "".join(f" {key}={given[key]}" for key in given)
            raise UsageError(f"the operator {what} cannot be written in NumPy")
        if operator in FUNCTIONS:
            self.functions[operator] = FUNCTIONS[operator]
        return expression.format(*values, **{**defaults, **given})

    def _value(self, value: str | Array | float) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, int | float):
            return repr(float(value)) if isinstance(value, float) else repr(value)
        array = np.asarray(value)
        if array.dtype.kind in "iu" and array.size <= SHORT:
            plain = array.tolist()
            return repr(tuple(plain) if isinstance(plain, list) else plain)
        name = next((name for name, known in self.named.items() if known is value), None)
        name = name or f"constant_{len(self.constants)}"
        self.constants[name] = array.astype(self.dtype) if array.dtype.kind == "f" else array
        return f'w["{name}"]'


def _attribute(value: Any) -> str:
    return f"np.{np.dtype(value).name}" if isinstance(value, type | np.dtype) else repr(value)


def write_python(
    predictor: Predictor, columns: Sequence[str], csv_options: Mapping[str, Any], folder: Path
) -> list[Path]:
    """Write a model as ``weights.npz`` and ``model.py`` into a folder. Returns the two files.

    Args:
        predictor: the model.
        columns: the names of the columns that ``model.py`` writes, in order.
        csv_options: the options separator, decimal, thousands and charset with which the run read its CSV
            files; an option may be missing.
        folder: a folder, which is created if it does not exist.

    Raises:
        UsageError: a layer or the loss has no method ``onnx``, or NumPy has no code for a node.
    """
    code, constants = network_code(predictor.network)
    arrays, about = _encoder(predictor)
    about |= {key: csv_options.get(key) for key in ("separator", "decimal", "thousands", "charset")}
    about |= {"outputs": list(columns), "dtype": str(predictor.network.dtype), "task": predictor.shapes.task}
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / WEIGHTS, folder / CODE]
    parts = [file.with_name(f".{os.getpid()}.{file.name}") for file in files]
    try:
        everything: dict[str, Any] = {"about": np.array(json.dumps(about)), **arrays, **constants}
        np.savez(parts[0], **everything)
        parts[1].write_text(code, "utf-8")
        for part, file in zip(parts, files, strict=True):
            part.replace(file)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return files


def network_code(network: Network) -> tuple[str, dict[str, Array]]:
    """The text of ``model.py``, and the arrays ``w`` that its function ``network(x, w)`` needs to predict.

    Raises:
        UsageError: a layer or the loss has no method ``onnx``, or NumPy has no code for a node.
    """
    parameters = network.views(network.w)
    graph = PythonGraph(network.dtype, {**parameters, **network.state})
    x = "x"
    for i, layer in enumerate(network.layers):
        prefix = network.prefix(i)
        p, state = under(prefix, parameters), under(prefix, network.state)
        try:
            x = layer.onnx(graph, x, network.widths[i], p, state)
        except UsageError as error:
            raise UsageError(f"the layer {layer.name}: {error}") from error
    output = network.loss.onnx(graph, x)
    before, after = TEMPLATE.read_text("utf-8").split(PLACE)
    head, definition = before.split("def network(")
    functions = "".join(f"{text}\n\n\n" for text in graph.functions.values())
    body = "".join(f"    {line}\n" for line in graph.lines) + f"    return {output}\n"
    return f"{head}{functions}def network({definition}{body}{after}", graph.constants


def _encoder(predictor: Predictor) -> tuple[dict[str, Array], dict[str, Any]]:
    """The encoder's arrays, and the encoder's settings that ``model.py`` needs."""
    encoder = predictor.encoder
    arrays, state = encoder.state()
    columns: list[dict[str, Any]] = [{"kind": "number", "name": name} for name in encoder.names]
    widths = [0] * (predictor.shapes.inputs - len(encoder.indicators))
    if encoder.columns is not None:
        used = [column for column in encoder.columns if not isinstance(column, LeftOut)]
        columns = [{"kind": column.kind, **asdict(column)} for column in used]
        widths = encoder.widths
    classes = encoder.target.class_names
    return arrays, {
        "columns": columns,
        "widths": widths,
        "indicators": state["indicators"],
        "classes": [int(name) for name in classes] if encoder.target.integer else classes,
    }
