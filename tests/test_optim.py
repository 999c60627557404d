"""The driver: what it adds to every optimizer, in which order, and on which parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlpframe import optim, registries
from mlpframe.api import Array, Optimizer
from mlpframe.network import Network, build_layers
from mlpframe.optim import Updater
from mlpframe.rng import Streams

OPTIMIZERS = registries["optimizer"].names()


def create(name: str, **options: Any) -> Optimizer:
    made: Optimizer = registries["optimizer"].create(name, **options)
    return made


def make_network(hidden: int = 4, dtype: str = "float64") -> Network:
    """Three inputs, sigmoid, three classes; no parameter is 0, the biases neither."""
    init = {"name": "normal", "std": 0.5}
    specs = [{"name": "linear", "units": hidden, "init": init}, "sigmoid", {"name": "linear", "init": init}]
    loss = registries["loss"].create("cross_entropy")
    network = Network(build_layers(specs, 3), loss, 3, np.zeros(1, np.intp), dtype, Streams(0))
    network.w[...] = np.random.default_rng(0).uniform(0.5, 1.5, network.w.shape)
    network.w[1::2] *= -1
    return network


def decayed(network: Network) -> Array:
    """Which elements are weights, not biases: by the names of the parameters."""
    mask = np.zeros(network.w.shape, bool)
    for name, view in network.views(mask).items():
        view[...] = name.endswith(".W")
    assert mask.any()
    assert not mask.all()
    return mask


def run_a_batch(network: Network) -> float:
    plan = network.plan(8, training=True)
    rng = np.random.default_rng(1)
    plan.x[...] = rng.standard_normal(plan.x.shape)
    plan.target[...] = rng.integers(0, 3, 8)
    return plan.step()


def draw_gradient(network: Network, norm: float) -> Array:
    g = np.random.default_rng(2).standard_normal(network.w.shape)
    network.g[...] = g * (norm / np.linalg.norm(g))
    return network.g.copy()


# --- weight decay ------------------------------------------------------------------------------------


def test_coupled_decay_adds_the_gradient_of_half_lambda_times_the_squared_weights() -> None:
    network, decay, h = make_network(), 0.3, 1e-5
    weights = decayed(network)

    def objective() -> float:
        return run_a_batch(network) + decay / 2 * float(np.sum(network.w[weights] ** 2))

    slopes = np.empty_like(network.w)
    for i, value in enumerate(network.w.tolist()):
        values = []
        for network.w[i] in (value + h, value - h):
            values.append(objective())
        network.w[i] = value
        slopes[i] = (values[0] - values[1]) / (2 * h)

    before = network.w.copy()
    run_a_batch(network)
    Updater(create("sgd", weight_decay=decay), network).update(1.0)
    np.testing.assert_allclose(before - network.w, slopes, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_decoupled_decay_shrinks_the_weights_before_the_step(name: str) -> None:
    rate, decay = 0.1, 0.25
    with_decay, without = make_network(), make_network()
    weights = decayed(without)
    shrinking = Updater(create(name, weight_decay=decay, decoupled=True), with_decay)
    plain = Updater(create(name, weight_decay=0.0), without)
    for _ in range(5):
        without.w[weights] *= 1 - rate * decay
        without.g[...] = with_decay.g[...] = draw_gradient(without, 1.0)
        shrinking.update(rate)
        plain.update(rate)
        np.testing.assert_allclose(with_decay.w, without.w, rtol=1e-14)
    for slot, vector in plain.slots.items():  # the state knows nothing of the decay
        assert shrinking.slots[slot].tobytes() == vector.tobytes()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_coupled_decay_is_part_of_the_gradient_for_every_optimizer(name: str) -> None:
    rate, decay = 0.1, 0.25
    with_decay, without = make_network(), make_network()
    weights = decayed(without)
    coupled = Updater(create(name, weight_decay=decay, decoupled=False), with_decay)
    plain = Updater(create(name, weight_decay=0.0), without)
    for _ in range(5):
        without.g[...] = with_decay.g[...] = draw_gradient(without, 1.0)
        without.g[weights] += decay * without.w[weights]
        coupled.update(rate)
        plain.update(rate)
        np.testing.assert_allclose(with_decay.w, without.w, rtol=1e-13)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_biases_are_not_decayed(name: str, decoupled: bool) -> None:
    network = make_network()
    before, weights = network.w.copy(), decayed(network)
    updater = Updater(create(name, weight_decay=0.5, decoupled=decoupled), network)
    for _ in range(3):
        network.g[...] = 0
        updater.update(0.01)
    assert network.w[~weights].tobytes() == before[~weights].tobytes()
    assert (np.abs(network.w[weights]) < np.abs(before[weights])).all()


def test_both_decays_are_the_same_for_plain_gradient_descent() -> None:
    # w − η (g + λ w) = (1 − η λ) w − η g: coupling matters only where the gradient is transformed
    ends = []
    for decoupled in (False, True):
        network = make_network()
        draw_gradient(network, 1.0)
        Updater(create("sgd", weight_decay=0.3, decoupled=decoupled), network).update(0.1)
        ends.append(network.w)
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-14)


# --- clipping ----------------------------------------------------------------------------------------


def test_a_long_gradient_is_scaled_to_the_norm_as_a_whole() -> None:
    network = make_network()
    g, before = draw_gradient(network, 7.0), network.w.copy()
    Updater(create("sgd", clip_norm=2.0), network).update(1.0)
    step = before - network.w
    assert np.linalg.norm(step) == pytest.approx(2.0, rel=1e-12)
    np.testing.assert_allclose(step, g * 2 / 7, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_shorter_gradient_is_not_touched_by_clipping(name: str) -> None:
    clipped, plain = make_network(), make_network()
    g = draw_gradient(clipped, 1.9)
    plain.g[...] = g
    Updater(create(name, clip_norm=2.0, weight_decay=0.0), clipped).update(0.1)
    Updater(create(name, weight_decay=0.0), plain).update(0.1)
    assert clipped.g.tobytes() == g.tobytes()
    assert clipped.w.tobytes() == plain.w.tobytes()


def test_the_loss_is_clipped_and_the_decay_is_not() -> None:
    network = make_network()
    g, before, weights = draw_gradient(network, 100.0), network.w.copy(), decayed(network)
    Updater(create("sgd", clip_norm=1.0, weight_decay=3.0), network).update(1.0)
    np.testing.assert_allclose(before - network.w, g / 100 + 3 * before * weights, rtol=1e-12)


# --- how the optimizer is called ---------------------------------------------------------------------


class Recorder(Optimizer):
    """Notes down how it is called and moves the weights by the gradient."""

    slots = ("count",)

    def __init__(self, scope: Any) -> None:
        self.scope = scope
        self.calls: list[tuple[tuple[int, ...], float, int]] = []

    def update(self, w: Array, g: Array, slots: Any, lr: float, step: int, scratch: Array) -> None:
        assert w.shape == g.shape == scratch.shape == slots["count"].shape
        assert w.dtype == scratch.dtype == slots["count"].dtype
        self.calls.append((w.shape, lr, step))
        scratch[...] = g
        w -= scratch
        slots["count"] += 1


@pytest.mark.parametrize("scope", ["element", "tensor"])
def test_every_element_is_updated_once_at_every_step(scope: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optim, "SLICE_BYTES", 4 * 11)
    network, recorder = make_network(dtype="float32"), Recorder(scope)
    updater = Updater(recorder, network)
    for _ in range(3):
        g, before = draw_gradient(network, 1.0), network.w.copy()
        updater.update(0.5)
        np.testing.assert_array_equal(network.w, before - g)
    assert updater.step == 3
    assert (updater.slots["count"] == 3).all()
    assert {(lr, step) for _, lr, step in recorder.calls} == {(0.5, 1), (0.5, 2), (0.5, 3)}


def test_an_element_wise_optimizer_gets_slices_that_fit_the_cache() -> None:
    network, recorder = make_network(hidden=10_000), Recorder("element")
    Updater(recorder, network).update(0.1)
    sizes = [shape[0] for shape, _, _ in recorder.calls]
    assert sum(sizes) == network.w.size
    assert len(sizes) > 1
    assert max(sizes) == optim.SLICE_BYTES // 8


def test_a_tensor_wise_optimizer_gets_every_parameter_in_its_shape() -> None:
    network, recorder = make_network(hidden=4), Recorder("tensor")
    Updater(recorder, network).update(0.1)
    assert [shape for shape, _, _ in recorder.calls] == [(3, 4), (4,), (4, 3), (3,)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_a_network_lowers_its_loss(name: str) -> None:
    optimizer, network = create(name), make_network(hidden=8)
    updater = Updater(optimizer, network)
    first = run_a_batch(network)
    for _ in range(200):
        run_a_batch(network)
        updater.update(optimizer.default_lr)
    assert run_a_batch(network) < 0.95 * first


@pytest.mark.parametrize(
    "rules", [{}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "decoupled": True}], ids=str
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_continues_to_the_same_bits_from_weights_slots_and_step(name: str, rules: dict[str, Any]) -> None:
    network = make_network(dtype="float32")
    updater = Updater(create(name, clip_norm=0.5, **rules), network)
    for _ in range(5):
        run_a_batch(network)
        updater.update(0.05)

    other = make_network(dtype="float32")
    resumed = Updater(create(name, clip_norm=0.5, **rules), other)
    other.w[...], resumed.step = network.w, updater.step
    for slot, vector in updater.slots.items():
        resumed.slots[slot][...] = vector

    for _ in range(5):
        for one, its in ((network, updater), (other, resumed)):
            run_a_batch(one)
            its.update(0.05)
    assert other.w.tobytes() == network.w.tobytes()


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_state_does_not_stay_subnormal(name: str) -> None:
    """0.9 of the smallest subnormal number is rounded to itself: left alone, it would stay for ever."""
    network = make_network(dtype="float32")
    updater = Updater(create(name), network)
    tiny = np.finfo(network.dtype).smallest_normal
    for vector in updater.slots.values():
        vector[...] = tiny / 8
    network.g[...] = 0
    for _ in range(optim.FLUSH_STEPS):
        updater.update(0.1)
    for vector in updater.slots.values():
        assert not np.count_nonzero(vector)
