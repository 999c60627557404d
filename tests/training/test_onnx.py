"""Networks as ONNX models, run by onnxruntime and by onnx's own implementation in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import Layer, Loss, UsageError
from mlpframe.testing import Case, cases
from mlpframe.testing.kit import Skipped, Subject, subjects
from mlpframe.testing.layers import make, shapes
from mlpframe.testing.onnx import draw_inputs, prepared_network
from mlpframe.training import Network, Streams, build_layers
from tests.running import ROOT, run_python

onnx = pytest.importorskip("onnx", reason="ONNX needs the extra onnx-test")
runtime = pytest.importorskip("onnxruntime", reason="ONNX needs the extra onnx-test")
pytestmark = pytest.mark.onnx

from onnx.reference import ReferenceEvaluator  # noqa: E402 - after the module may have been skipped

from mlpframe.training.onnx import FLOAT32_ONLY, OnnxGraph, onnx_model  # noqa: E402

Run = Callable[[np.ndarray], np.ndarray]


def by_onnxruntime(model) -> Run:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return lambda x: session.run(None, {model.graph.input[0].name: x})[0]


def by_reference(model) -> Run:
    evaluator = ReferenceEvaluator(model)
    return lambda x: evaluator.run(None, {model.graph.input[0].name: x})[0]


def assert_same(computed: np.ndarray, expected: np.ndarray) -> None:
    assert (computed.dtype, computed.shape) == (expected.dtype, expected.shape)
    assert np.isfinite(computed).all()
    assert (np.abs(computed - expected) <= 1e-5 * np.maximum(1, np.abs(expected))).all()


def every(kind: str) -> list[Subject]:
    return [subject for name in registries[kind].names() for subject in subjects(kind, name)]


def words(subject: object) -> str | None:
    return f"{subject.name} {dict(subject.options) or ''}".strip() if isinstance(subject, Subject) else None


both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
every_layer = pytest.mark.parametrize("layer", every("layer"), ids=words)
both_runtimes = pytest.mark.parametrize("runs", [by_onnxruntime, by_reference])


@both_runtimes
@both_dtypes
@every_layer
def test_every_layer_computes_the_same_in_onnx(layer: Subject, dtype: str, runs) -> None:
    rng = np.random.default_rng(0)
    for _, n_in, units in shapes(layer):
        network = prepared_network(make(layer, units), n_in, dtype)
        run = runs(onnx_model(network))
        for rows in (1, 7, 1000):
            x = draw_inputs(rng, rows, n_in).astype(dtype)
            assert_same(run(x), network.outputs(x))


@both_dtypes
@every_layer
def test_large_inputs_stay_finite_in_onnx(layer: Subject, dtype: str) -> None:
    # onnx's own implementation is not tested here, because its LogSoftmax takes the logarithm of 0
    _, n_in, units = shapes(layer)[0]
    network = prepared_network(make(layer, units), n_in, dtype)
    x = np.resize([1e4, -1e4, 0, 1, -1e4, 3e3, 700, -700, 90, -90], (10, n_in)).astype(dtype)
    computed, expected = by_onnxruntime(onnx_model(network))(x), network.outputs(x)
    assert np.isfinite(computed).all()
    if dtype == "float64":  # float32 loses digits where large terms of a sum cancel
        assert_same(computed, expected)


@both_runtimes
@both_dtypes
@pytest.mark.parametrize("loss", every("loss"), ids=words)
def test_every_prediction_is_the_same_in_onnx(loss: Subject, dtype: str, runs) -> None:
    made = loss.create()
    graph = OnnxGraph(dtype)
    graph.output("prediction", made.onnx(graph, graph.input("output", 4)), 4)
    run = runs(graph.model())
    for rows in (1, 7, 1000):
        output = 3 * np.random.default_rng(rows).standard_normal((rows, 4)).astype(dtype)
        assert_same(run(output), made.predict(output))


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in cases([(kind, name) for kind in ("layer", "loss") for name in registries[kind].names()])
        if case.check.name.startswith("onnx_nodes")
    ],
    ids=str,
)
def test_the_conformance_kit_finds_no_built_in_component_that_cannot_be_exported(case: Case) -> None:
    try:
        case()
    except Skipped as reason:
        pytest.fail(str(reason))


def a_network(dtype: str = "float32", loss: str = "cross_entropy") -> Network:
    specs = [
        {"name": "embedding", "columns": [1], "categories": [3], "dim": 2},
        {"name": "linear", "units": 8},
        "batch_norm",
        "gelu",
        {"name": "residual", "layers": ["layer_norm", {"name": "linear", "units": 8}, "silu"]},
        {"name": "dropout", "rate": 0.2},
        "linear",
    ]
    layers = build_layers(specs, 3)
    target = np.empty(0, np.intp) if loss == "cross_entropy" else np.empty((0, 3))
    network = Network(layers, registries["loss"].create(loss), 4, target, dtype, Streams(1))
    plan = network.plan(16, training=True)
    rng = np.random.default_rng(5)
    for _ in range(5):
        plan.x[...] = draw_inputs(rng, 16, 4)
        plan.target[...] = 1
        plan.step()
        network.w -= 0.1 * network.g
    return network


@both_runtimes
@both_dtypes
@pytest.mark.parametrize("loss", ["cross_entropy", "poisson"])
def test_a_trained_network_predicts_the_same_in_onnx(loss: str, dtype: str, runs) -> None:
    network = a_network(dtype, loss)
    x = draw_inputs(np.random.default_rng(6), 1000, 4).astype(dtype)
    x[::9, 1] = np.nan  # NaN is no known code
    assert_same(runs(onnx_model(network))(x), network.loss.predict(network.outputs(x)))


def test_a_model_names_its_arrays_as_the_network_does() -> None:
    network = a_network()
    model = onnx_model(network)
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    known = {**network.views(network.w), **network.state}
    own = [name for name in arrays if not name.startswith("constant_")]
    # in the model, the table of the embedding has an additional row, for unknown codes
    assert set(known) - set(own) == {"0.embedding.E1"}
    for name in own:
        np.testing.assert_array_equal(arrays[name], known[name])
    (x,), (y,) = model.graph.input, model.graph.output
    dims = [[dim.dim_param or dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in (x, y)]
    assert [x.name, y.name, *dims] == ["x", "prediction", ["rows", 4], ["rows", 3]]


def test_a_model_does_not_change_when_training_continues() -> None:
    network = a_network()
    x = draw_inputs(np.random.default_rng(7), 5, 4).astype("f4")
    before, model = network.loss.predict(network.outputs(x)), onnx_model(network)
    network.w += 1
    assert_same(by_onnxruntime(model)(x), before)


def test_a_graph_may_have_nodes_before_and_after_the_network() -> None:
    # nodes as for a table's encoder: from text to category numbers, and from probabilities to a class's name
    graph = OnnxGraph("float32")
    text = graph.input("color", 1, object)
    code = graph.node(
        "LabelEncoder",
        text,
        domain="ai.onnx.ml",
        keys_strings=["red", "blue"],
        values_int64s=[0, 1],
        default_int64=-1,
    )
    value = graph.node("Cast", code, to=graph.dtype)
    label = graph.node("ArgMax", graph.node("Concat", value, graph.node("Mul", value, -1), axis=1), axis=1)
    names = graph.node(
        "LabelEncoder", label, domain="ai.onnx.ml", keys_int64s=[0, 1], values_strings=["yes", "no"]
    )
    graph.output("class", names, 1, object)
    run = by_onnxruntime(graph.model())
    assert run(np.array([["blue"], ["green"]], object)).tolist() == [["yes"], ["no"]]


@pytest.mark.parametrize("operator", FLOAT32_ONLY)
def test_operators_built_from_other_operators_compute_the_same(operator: str) -> None:
    x = np.linspace(-9, 9, 60).reshape(20, 3)
    outputs = []
    for dtype in ("float32", "float64"):  # ONNX's own operator, and the operators that replace it
        graph = OnnxGraph(dtype)
        inputs = [graph.input("x", 3), *([np.array([0.5, -2.0, 0.0])] if operator == "PRelu" else [])]
        graph.output("y", graph.node(operator, *inputs), 3)
        model = graph.model()
        assert (operator in {node.op_type for node in model.graph.node}) == (dtype == "float32")
        outputs.append(by_reference(model)(x.astype(dtype)))
    np.testing.assert_allclose(*outputs, rtol=1e-6, atol=1e-6)


def test_a_layer_without_the_method_onnx_is_refused_by_name() -> None:
    class Plain(Layer):
        name = "plain"

        def textbook(self, x, p, ctx):
            return x, lambda dy: (dy, {})

    for layers in ([Plain()], build_layers(["residual"], 3)):
        if layers[0].name == "residual":
            layers[0].layers = [Plain()]
        network = Network(
            layers, registries["loss"].create("mse"), 3, np.empty((0, 3)), "float32", Streams(0)
        )
        with pytest.raises(UsageError) as refused:
            onnx_model(network)
        assert str(refused.value) == (
            "layer 'plain' cannot be exported to ONNX: its class must define the method onnx"
        )


def test_a_loss_with_its_own_predict_but_without_the_method_onnx_is_refused_by_name() -> None:
    class Odds(registries["loss"]["mse"]):
        name = "odds"

        def predict(self, output):
            return np.exp(output)

    graph = OnnxGraph("float32")
    with pytest.raises(UsageError, match=r"^loss 'odds' cannot be .*define the method onnx$"):
        Odds().onnx(graph, graph.input("output", 3))


def test_a_subclass_that_rewrites_a_layer_or_a_prediction_does_not_inherit_the_method_onnx() -> None:
    class Cube(registries["layer"]["relu"]):
        def textbook(self, x, p, ctx):
            return x**3, lambda dy: (3 * x**2 * dy, {})

    class Other(registries["loss"]["cross_entropy"]):
        def predict(self, output):
            return output

    class Named(registries["layer"]["relu"]):
        name = "named"

    assert Cube.onnx is Layer.onnx
    assert Other.onnx is Loss.onnx
    assert Named.onnx is registries["layer"]["relu"].onnx


def test_without_the_package_onnx_one_line_says_what_to_install(tmp_path: Path) -> None:
    statement = "import sys; sys.modules['onnx'] = None; import mlpframe.training.onnx"
    done = run_python(tmp_path, "-c", statement, PYTHONPATH=str(ROOT))
    assert done.stderr.splitlines()[-1] == (
        "mlpframe.registry.UsageError: ONNX needs the package onnx: pip install 'mlpframe[onnx]'"
    )
