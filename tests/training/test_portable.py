"""Every layer and every loss computes in the exported Python file what it computes in mlpframe."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import UsageError
from mlpframe.testing.kit import Subject, subjects
from mlpframe.testing.layers import make, shapes
from mlpframe.testing.onnx import draw_inputs, prepared_network
from mlpframe.training import Network, Streams, build_layers
from mlpframe.training import portable as portable_module
from mlpframe.training.portable import PythonGraph, network_code


def portable(network: Network, x: np.ndarray) -> np.ndarray:
    """The predictions of the exported Python file for ``x``."""
    code, constants = network_code(network)
    module = ModuleType("exported")
    exec(code, vars(module))
    result: np.ndarray = module.network(x, constants)
    return result


def every(kind: str) -> list[Subject]:
    return [subject for name in registries[kind].names() for subject in subjects(kind, name)]


def words(subject: object) -> str | None:
    return f"{subject.name} {dict(subject.options) or ''}".strip() if isinstance(subject, Subject) else None


both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def assert_same(computed: np.ndarray, expected: np.ndarray, dtype: str) -> None:
    assert (computed.dtype, computed.shape) == (expected.dtype, expected.shape)
    tolerance = 1e-6 if dtype == "float64" else 1e-5  # 84 units in the last place of float32
    assert (np.abs(computed - expected) <= tolerance * np.maximum(1, np.abs(expected))).all()


@both_dtypes
@pytest.mark.parametrize("layer", every("layer"), ids=words)
def test_every_layer_computes_the_same_in_numpy_alone(layer: Subject, dtype: str) -> None:
    rng = np.random.default_rng(0)
    for _, n_in, units in shapes(layer):
        network = prepared_network(make(layer, units), n_in, dtype)
        for rows in (1, 7, 100):
            x = draw_inputs(rng, rows, n_in).astype(dtype)
            assert_same(portable(network, x), network.outputs(x), dtype)


@both_dtypes
@pytest.mark.parametrize("loss", every("loss"), ids=words)
def test_every_prediction_is_the_same_in_numpy_alone(loss: Subject, dtype: str) -> None:
    made: Any = loss.create()
    target = np.empty(0, np.intp) if made.tasks == ("classification",) else np.empty((0, 4))
    network = Network(build_layers(["tanh"], 4), made, 4, target, dtype, Streams(0))
    x = draw_inputs(np.random.default_rng(1), 100, 4).astype(dtype)
    assert_same(portable(network, x), made.predict(network.outputs(x)), dtype)


def test_a_chain_of_layers_and_a_layer_inside_a_layer_compute_the_same_in_numpy_alone() -> None:
    specs: list[Any] = [
        {"name": "embedding", "columns": [1], "categories": [3], "dim": 2},
        {"name": "linear", "units": 8},
        "batch_norm",
        {"name": "residual", "layers": ["layer_norm", {"name": "linear", "units": 8}, "silu"]},
        "linear",
    ]
    loss = registries["loss"].create("cross_entropy")
    network = Network(build_layers(specs, 3), loss, 4, np.empty(0, np.intp), "float64", Streams(1))
    x = draw_inputs(np.random.default_rng(1), 50, 4)
    x[:, 1] = np.arange(50) % 5  # the layer embedding knows the codes 0, 1 and 2 only
    np.testing.assert_allclose(portable(network, x), loss.predict(network.outputs(x)), 1e-9)


@pytest.mark.parametrize(
    ("operator", "attributes", "words"),
    [("Det", {}, "the operator Det "), ("Elu", {"beta": 2.0}, "the operator Elu beta=2.0 ")],
)
def test_an_operator_that_cannot_be_written_in_numpy_is_refused(
    operator: str, attributes: dict[str, Any], words: str
) -> None:
    graph = PythonGraph(np.dtype("float32"), {})
    with pytest.raises(UsageError, match=words):
        graph.node(operator, "x", **attributes)


def test_the_refusal_of_an_operator_names_its_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(portable_module.EXPRESSIONS, "Tanh")
    target = np.empty((0, 2))
    network = Network(
        build_layers(["tanh"], 2), registries["loss"].create("mse"), 2, target, "float32", Streams(0)
    )
    with pytest.raises(UsageError, match="the layer tanh: the operator Tanh cannot be written in NumPy"):
        network_code(network)
