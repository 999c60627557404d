"""Checks of the ONNX nodes of layers and losses. The checks exist only if the package onnx is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from ..api import Array, Layer, UsageError
from ..training.network import Network
from ..training.rng import Streams
from .gradients import create_loss
from .kit import Skipped, Subject, check, require_close
from .layers import in_words, make, shapes
from .losses import problems

TOLERANCE = 1e-5
DTYPES = ("float32", "float64")


def draw_inputs(rng: np.random.Generator, rows: int, n_in: int) -> Array:
    """Normal numbers. Every other row is rounded to multiples of 1/2.

    Layers may have a kink at rounded numbers, and whole numbers can be category numbers.
    """
    x = 2 * rng.standard_normal((rows, n_in))
    x[::2] = np.round(2 * x[::2]) / 2
    return x


def prepared_network(layer: Layer, n_in: int, dtype: str) -> Network:
    """A network of one layer with random parameters, whose state has changed in three training steps."""
    rng = np.random.default_rng(3)
    target = np.empty((0, layer.n_out(n_in)))
    network = Network([layer], create_loss("mse"), n_in, target, dtype, Streams(0))
    network.w[...] = rng.standard_normal(network.w.size)
    plan = network.plan(9, training=True)
    for _ in range(3):
        plan.x[...] = 1 + draw_inputs(rng, 9, n_in)
        plan.forward()
    return network


def _evaluated(model: Any, x: Array) -> Array:
    """The output of an ONNX model with one input and one output, computed by onnx's own implementation."""
    from onnx.reference import ReferenceEvaluator

    (output,) = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x})
    result: Array = output
    return result


def onnx_nodes_compute_the_output(subject: Subject) -> None:
    """In onnx's reference implementation, the layer's ONNX nodes compute its output in evaluation mode."""
    from ..training.onnx import onnx_model

    for shape in shapes(subject):
        batch, n_in, units = shape
        for dtype in DTYPES:
            network = prepared_network(make(subject, units), n_in, dtype)
            try:
                model = onnx_model(network)
            except UsageError as error:
                raise Skipped(str(error)) from error
            x = draw_inputs(np.random.default_rng(4), batch, n_in).astype(dtype)
            what = f"y in ONNX ({in_words(shape, training=False)}, {dtype})"
            require_close(what, _evaluated(model, x), network.outputs(x), rtol=TOLERANCE, atol=TOLERANCE)


def onnx_nodes_compute_the_prediction(subject: Subject) -> None:
    """In onnx's reference implementation, the loss's ONNX nodes compute its prediction."""
    from ..training.onnx import OnnxGraph

    loss = subject.create()
    for problem in problems(subject):
        output = 3 * (problem.output - 0.5)
        for dtype in DTYPES:
            graph, width = OnnxGraph(dtype), output.shape[-1]
            try:
                graph.output("prediction", loss.onnx(graph, graph.input("output", width)), width)
            except UsageError as error:
                raise Skipped(str(error)) from error
            computed = _evaluated(graph.model(), output.astype(dtype))
            what = f"the prediction in ONNX ({problem.words}, {dtype})"
            require_close(what, computed, loss.predict(output), rtol=TOLERANCE, atol=TOLERANCE)


if find_spec("onnx") is not None:
    check("layer")(onnx_nodes_compute_the_output)
    check("loss")(onnx_nodes_compute_the_prediction)
