"""The network: one flat vector, plans that share the vector, and weights against plain Python."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from math import exp, log, tanh
from typing import Any

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import Array, Block, Table
from mlpframe.training.engines import create_engine
from mlpframe.training.network import EVALUATION_ROWS, Network, Plan, build_layers
from mlpframe.training.optim import Updater
from mlpframe.training.rng import Streams


def make_network(
    widths: Sequence[int], activation: str = "tanh", dtype: str = "float64", loss: str = "cross_entropy"
) -> Network:
    """A network of linear layers with an activation between, for class numbers as targets."""
    specs: list[Any] = []
    for units in widths[1:-1]:
        specs += [{"name": "linear", "units": units}, activation]
    specs.append({"name": "linear"})
    created_loss = registries["loss"].create(loss)
    layers = build_layers(specs, widths[-1])
    network = Network(layers, created_loss, widths[0], np.zeros(0, np.intp), dtype, Streams(3))
    biases = np.random.default_rng(4)
    for name, view in network.views(network.w).items():
        if name.endswith(".b"):  # biases start at 0, where a mistake would not be visible
            view[...] = biases.uniform(-0.5, 0.5, view.shape)
    return network


def draw_table(rows: int, features: int, classes: int, dtype: str = "float64") -> Table:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((rows, features)).astype(dtype)
    return Table(x, rng.integers(0, classes, rows))


def make_engine(network: Network, optimizer: str = "sgd") -> Any:
    return create_engine("numpy", network, Updater(registries["optimizer"].create(optimizer), network), 50)


def fill(plan: Plan, table: Table, rows: slice) -> Plan:
    plan.x[...], plan.target[...] = table.x[rows], table.y[rows]
    return plan


# --- one flat vector ---------------------------------------------------------------------------------


def test_parameters_are_named_after_position_layer_and_parameter() -> None:
    network = make_network([4, 5, 3])
    shapes = {name: view.shape for name, view in network.views(network.w).items()}
    assert shapes == {"0.linear.W": (4, 5), "0.linear.b": (5,), "2.linear.W": (5, 3), "2.linear.b": (3,)}


@pytest.mark.parametrize("vector", ["w", "g"])
def test_parameters_and_gradients_are_views_that_tile_one_vector(vector: str) -> None:
    network = make_network([4, 5, 3])
    flat: Array = getattr(network, vector)
    assert flat.ndim == 1
    assert flat.flags.c_contiguous
    assert flat.size == 4 * 5 + 5 + 5 * 3 + 3
    touched = np.zeros(flat.size, int)
    for view in network.views(flat).values():
        assert view.base is flat
        start = (view.__array_interface__["data"][0] - flat.__array_interface__["data"][0]) // flat.itemsize
        touched[start : start + view.size] += 1
    assert (touched == 1).all()


def test_training_uses_the_vectors_themselves() -> None:
    network = make_network([2, 3, 2])
    table = draw_table(4, 2, 2)
    plan = fill(network.plan(4, training=True), table, slice(None))
    network.g[...] = np.nan
    plan.step()
    assert np.isfinite(network.g).all()  # the step has overwritten every NaN
    network.w[...] = 0
    plan.forward()
    assert (plan.output == 0).all()


def test_both_dtypes_start_from_the_same_numbers() -> None:
    single, double = make_network([7, 20, 3], dtype="float32"), make_network([7, 20, 3], dtype="float64")
    assert single.w.dtype == single.g.dtype == np.float32
    assert double.w.dtype == double.g.dtype == np.float64
    assert np.unique(double.w).size == double.w.size
    np.testing.assert_array_equal(single.w, double.w.astype(np.float32))


# --- plans -------------------------------------------------------------------------------------------


def test_plans_of_several_batch_sizes_share_the_parameters() -> None:
    network = make_network([3, 4, 2])
    table = draw_table(6, 3, 2)

    def outputs(rows: int, training: bool) -> Array:
        plan = fill(network.plan(rows, training=training), table, slice(0, rows))
        plan.forward()
        return plan.output.copy()

    before = outputs(2, True)
    whole = outputs(6, True)  # this plan needs larger buffers than the plan for two rows
    np.testing.assert_allclose(outputs(2, True), before, rtol=1e-15)
    np.testing.assert_allclose(whole[:2], before, rtol=1e-12)
    network.w *= 2
    doubled = outputs(6, True)
    assert np.abs(doubled - whole).min() > 1e-6
    for rows in (2, 6):
        for training in (False, True):
            np.testing.assert_allclose(outputs(rows, training), doubled[:rows], rtol=1e-12)


def test_the_gradient_of_a_batch_is_the_mean_of_the_gradients_of_its_halves() -> None:
    network = make_network([3, 4, 2])
    table = draw_table(6, 3, 2)

    def gradient(rows: slice) -> tuple[float, Array]:
        plan = fill(network.plan(rows.stop - rows.start, training=True), table, rows)
        return plan.step(), network.g.copy()

    loss_a, a = gradient(slice(0, 3))
    loss, g = gradient(slice(0, 6))
    loss_b, b = gradient(slice(3, 6))  # the plan of the first half again, after the larger plan
    np.testing.assert_allclose(g, (a + b) / 2, rtol=1e-12, atol=1e-15)
    assert loss == pytest.approx((loss_a + loss_b) / 2, rel=1e-13)
    assert np.abs(a - b).max() > 1e-3


def test_evaluation_during_training_changes_no_bit() -> None:
    table = draw_table(40, 3, 2)
    ends = []
    for evaluates in (False, True):
        network = make_network([3, 8, 2], "relu", "float32")
        engine = make_engine(network, "adam")
        for start in range(0, 40, 8):
            engine.advance([Block(table, np.arange(start, start + 8), 3, [0.01] * 3)])
            if evaluates:
                network.evaluate(table)
        ends.append(network.w.tobytes())
    assert ends[0] == ends[1]


@pytest.mark.parametrize("rows", [1, EVALUATION_ROWS, 2 * EVALUATION_ROWS + 77])
def test_evaluation_in_batches_equals_evaluation_in_one_pass(rows: int) -> None:
    network = make_network([5, 6, 4])
    table = draw_table(rows, 5, 4)
    loss, outputs = network.evaluate(table)

    p = network.views(network.w)
    logits = np.tanh(table.x @ p["0.linear.W"] + p["0.linear.b"]) @ p["2.linear.W"] + p["2.linear.b"]
    np.testing.assert_allclose(outputs, logits, rtol=1e-12, atol=1e-14)
    each = np.log(np.exp(logits).sum(1)) - logits[np.arange(rows), table.y]
    assert loss == pytest.approx(float(each.mean()), rel=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_step_allocates_less_than_the_size_of_the_network(optimizer: str) -> None:
    network = make_network([784, 300, 10], "sigmoid", "float32")
    engine = make_engine(network, optimizer)
    table = draw_table(500, 784, 10, "float32")
    rows = np.random.default_rng(6).permutation(500)
    block = Block(table, rows, 50, [0.1] * 10)
    engine.advance([block])  # binds plans and creates slots

    tracemalloc.start()
    try:
        engine.advance([block])
        steady = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        W = network.views(network.w)["0.linear.W"]
        np.negative(W)
        one_copy = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert one_copy >= W.nbytes  # tracemalloc sees arrays of NumPy
    assert steady < W.nbytes / 20


# --- the weights, against lists and loops ------------------------------------------------------------

FUNCTIONS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    # functions of the pre-activation: the activation and its derivative
    "sigmoid": (lambda a: 1 / (1 + exp(-a)), lambda a: exp(-a) / (1 + exp(-a)) ** 2),
    "tanh": (tanh, lambda a: 1 - tanh(a) ** 2),
    "relu": (lambda a: a if a > 0 else 0.0, lambda a: 1.0 if a > 0 else 0.0),
}


class PlainMLP:
    """One hidden layer, softmax, cross-entropy and SGD by textbook formulas, with Python lists only."""

    def __init__(self, network: Network, activation: str) -> None:
        p = {name: view.tolist() for name, view in network.views(network.w).items()}
        self.W1, self.b1, self.W2, self.b2 = (
            p[name] for name in ("0.linear.W", "0.linear.b", "2.linear.W", "2.linear.b")
        )
        self.f, self.df = FUNCTIONS[activation]

    def step(self, xs: list[list[float]], ys: list[int], lr: float) -> float:
        """Take one step on a batch. Returns the mean loss."""
        n_in, n_hidden, n_out = len(self.W1), len(self.b1), len(self.b2)
        gW1 = [[0.0] * n_hidden for _ in range(n_in)]
        gW2 = [[0.0] * n_out for _ in range(n_hidden)]
        gb1, gb2 = [0.0] * n_hidden, [0.0] * n_out
        loss = 0.0
        for x, y in zip(xs, ys, strict=True):
            a = [sum(x[i] * self.W1[i][j] for i in range(n_in)) + self.b1[j] for j in range(n_hidden)]
            h = [self.f(value) for value in a]
            o = [sum(h[j] * self.W2[j][k] for j in range(n_hidden)) + self.b2[k] for k in range(n_out)]
            total = sum(exp(value) for value in o)
            loss += log(total) - o[y]
            do = [exp(o[k]) / total - (1 if k == y else 0) for k in range(n_out)]
            da = [sum(do[k] * self.W2[j][k] for k in range(n_out)) * self.df(a[j]) for j in range(n_hidden)]
            for k in range(n_out):
                gb2[k] += do[k]
                for j in range(n_hidden):
                    gW2[j][k] += h[j] * do[k]
            for j in range(n_hidden):
                gb1[j] += da[j]
                for i in range(n_in):
                    gW1[i][j] += x[i] * da[j]
        share = lr / len(xs)
        for W, g in ((self.W1, gW1), (self.W2, gW2)):
            for row, slopes in zip(W, g, strict=True):
                for k, slope in enumerate(slopes):
                    row[k] -= share * slope
        for b, gb in ((self.b1, gb1), (self.b2, gb2)):
            for k, slope in enumerate(gb):
                b[k] -= share * slope
        return loss / len(xs)

    def vector(self) -> list[float]:
        flat = [value for row in self.W1 for value in row] + self.b1
        return [*flat, *(value for row in self.W2 for value in row), *self.b2]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("widths", [(2, 3, 2), (4, 5, 3)], ids=str)
def test_the_weights_equal_those_of_a_plain_python_loop(
    widths: tuple[int, int, int], activation: str, batch: int
) -> None:
    rows = 10  # three full batches of 3 rows, and a last batch of 1 row
    network, table = make_network(widths, activation), draw_table(rows, widths[0], widths[2])
    plain, engine = PlainMLP(network, activation), make_engine(network)
    start, order = network.w.copy(), np.random.default_rng(7)
    steps = 0
    while steps < 200:
        epoch = order.permutation(rows)
        batches = [epoch[i : i + batch] for i in range(0, rows, batch)]
        lrs = [0.5 / (1 + (steps + i) / 100) for i in range(len(batches))]
        steps += len(batches)

        (losses,) = engine.advance([Block(table, epoch, batch, lrs)])
        expected = [
            plain.step(table.x[chosen].tolist(), table.y[chosen].tolist(), lr)
            for chosen, lr in zip(batches, lrs, strict=True)
        ]
        np.testing.assert_allclose(losses.values, expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(network.w, plain.vector(), rtol=0, atol=1e-12)
    assert np.abs(network.w - start).max() > 0.5  # the weights have moved


def test_correct_rows_are_counted_before_the_update() -> None:
    network, table = make_network([4, 5, 3]), draw_table(10, 4, 3)
    order = np.random.default_rng(8).permutation(10)
    twin = make_network([4, 5, 3])
    expected = 0
    for start in range(0, 10, 3):
        chosen = order[start : start + 3]
        part = Table(table.x[chosen], table.y[chosen])
        expected += int((twin.evaluate(part)[1].argmax(1) == part.y).sum())
        make_engine(twin).advance([Block(table, chosen, 3, [1.0])])
    (losses,) = make_engine(network).advance([Block(table, order, 3, [1.0] * 4)])
    assert losses.correct == expected
    assert expected != int((network.evaluate(table)[1].argmax(1) == table.y).sum())
