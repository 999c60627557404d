"""The driver of every optimizer: weight decay, clipping and rates, their order, and their parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from mlpframe import registries
from mlpframe.api import Array, Optimizer, UpdateRules, UsageError
from mlpframe.config import flat, read_root
from mlpframe.discovery import beside_or_inside
from mlpframe.runs.compose import prepare_hydra
from mlpframe.training import optim
from mlpframe.training.engines import create_engine
from mlpframe.training.network import Network, build_layers
from mlpframe.training.optim import Updater
from mlpframe.training.rng import Streams

OPTIMIZERS = [
    name for name in registries["optimizer"].names() if registries["optimizer"].create(name).scope != "search"
]


def create(name: str, **options: Any) -> Optimizer:
    optimizer: Optimizer = registries["optimizer"].create(name, **options)
    return optimizer


def make_network(hidden: int = 4, dtype: str = "float64") -> Network:
    """Three inputs, sigmoid, three classes. No parameter is 0, not even the biases."""
    init = {"name": "normal", "std": 0.5}
    specs = [{"name": "linear", "units": hidden, "init": init}, "sigmoid", {"name": "linear", "init": init}]
    loss = registries["loss"].create("cross_entropy")
    network = Network(build_layers(specs, 3), loss, 3, np.zeros(1, np.intp), dtype, Streams(0))
    network.w[...] = np.random.default_rng(0).uniform(0.5, 1.5, network.w.shape)
    network.w[1::2] *= -1
    return network


def decayed(network: Network) -> Array:
    """A mask of the elements that are weights and not biases, from the names of the parameters."""
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
    for slot, vector in plain.slots.items():  # the decay does not change the state
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
    assert np.linalg.norm(network.w[weights]) < np.linalg.norm(before[weights])
    if updater.optimizer.scope == "element":
        assert (np.abs(network.w[weights]) < np.abs(before[weights])).all()


def test_both_decays_are_the_same_for_plain_gradient_descent() -> None:
    # w − η (g + λ w) = (1 − η λ) w − η g: coupling matters only for optimizers that transform the gradient
    ends = []
    for decoupled in (False, True):
        network = make_network()
        draw_gradient(network, 1.0)
        Updater(create("sgd", weight_decay=0.3, decoupled=decoupled), network).update(0.1)
        ends.append(network.w)
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-14)


@pytest.mark.parametrize("decoupled", [False, True])
def test_no_decay_excludes_parameters_by_pattern(decoupled: bool) -> None:
    ends = {}
    for spared in ((), ("0.*",), ("*.W",), ("0.linear.W", "2.linear.W")):
        network = make_network()
        network.g[...] = 0
        rules = {"weight_decay": 0.3, "decoupled": decoupled, "no_decay": list(spared)}
        Updater(create("sgd", **rules), network).update(0.1)
        ends[spared] = {name: view.copy() for name, view in network.views(network.w).items()}
    start = make_network()
    shrunk = {name: view * (1 - 0.03 * name.endswith(".W")) for name, view in start.views(start.w).items()}
    for name, before in start.views(start.w).items():
        np.testing.assert_allclose(ends[()][name], shrunk[name], rtol=1e-14)
        first = before if name.startswith("0.") else shrunk[name]
        np.testing.assert_allclose(ends["0.*",][name], first, rtol=1e-14)
        assert ends["*.W",][name].tobytes() == before.tobytes()
        assert ends["0.linear.W", "2.linear.W"][name].tobytes() == before.tobytes()


# --- clipping ----------------------------------------------------------------------------------------


def test_a_long_gradient_is_scaled_to_the_norm_as_a_whole() -> None:
    network = make_network()
    g, before = draw_gradient(network, 7.0), network.w.copy()
    Updater(create("sgd", clip_norm=2.0), network).update(1.0)
    step = before - network.w
    assert np.linalg.norm(step) == pytest.approx(2.0, rel=1e-12)
    np.testing.assert_allclose(step, g * 2 / 7, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_clipping_does_not_change_a_short_gradient(name: str) -> None:
    clipped, plain = make_network(), make_network()
    g = draw_gradient(clipped, 1.9)
    plain.g[...] = g
    Updater(create(name, clip_norm=2.0, weight_decay=0.0), clipped).update(0.1)
    Updater(create(name, weight_decay=0.0), plain).update(0.1)
    assert clipped.g.tobytes() == g.tobytes()
    assert clipped.w.tobytes() == plain.w.tobytes()


def test_the_gradient_of_the_loss_is_clipped_and_the_decay_is_not() -> None:
    network = make_network()
    g, before, weights = draw_gradient(network, 100.0), network.w.copy(), decayed(network)
    Updater(create("sgd", clip_norm=1.0, weight_decay=3.0), network).update(1.0)
    np.testing.assert_allclose(before - network.w, g / 100 + 3 * before * weights, rtol=1e-12)


def test_each_element_is_clipped_to_the_bounds() -> None:
    network = make_network()
    g, before = draw_gradient(network, 3.0), network.w.copy()
    Updater(create("sgd", clip_value=0.4), network).update(1.0)
    assert (np.abs(g) > 0.4).any()
    np.testing.assert_allclose(
        before - network.w, [max(-0.4, min(0.4, gi)) for gi in g.tolist()], rtol=1e-12, atol=1e-15
    )


def test_each_parameter_is_clipped_by_its_own_norm() -> None:
    network = make_network()
    g, before = draw_gradient(network, 5.0), network.w.copy()
    Updater(create("sgd", clip_each=1.5), network).update(1.0)
    norms = []
    for own, step in zip(network.views(g).values(), network.views(before - network.w).values(), strict=True):
        norms.append(np.linalg.norm(own))
        np.testing.assert_allclose(step, own * min(1, 1.5 / norms[-1]), rtol=1e-12, atol=1e-15)
    assert min(norms) < 1.5 < max(norms)


def test_all_rules_apply_in_the_documented_order() -> None:
    network = make_network()
    g, w = draw_gradient(network, 9.0), network.w.copy()
    rules: dict[str, Any] = {
        "clip_value": 1.0,
        "clip_each": 1.5,
        "clip_norm": 2.0,
        "weight_decay": 0.3,
        "no_decay": ["2.*"],
        "rates": {"0.*": 0.5, "*.b": 3.0},
    }
    Updater(create("sgd", **rules), network).update(0.1)

    g = np.clip(g, -1, 1)
    for view in network.views(g).values():
        view *= min(1, 1.5 / np.linalg.norm(view))
    assert np.linalg.norm(g) > 2
    g *= 2 / np.linalg.norm(g)
    network.views(g)["0.linear.W"][...] += 0.3 * network.views(w)["0.linear.W"]
    for name, view in network.views(w).items():
        factor = {"0.linear.W": 0.5, "0.linear.b": 1.5, "2.linear.W": 1.0, "2.linear.b": 3.0}[name]
        view -= 0.1 * factor * network.views(g)[name]
    np.testing.assert_allclose(network.w, w, rtol=1e-12)


def test_clipping_by_value_bounds_infinity_and_keeps_nan() -> None:
    network = make_network()
    network.g[...] = 0
    network.g[:3] = np.inf, -np.inf, np.nan
    before = network.w.copy()
    Updater(create("sgd", clip_value=2.0), network).update(1.0)
    np.testing.assert_allclose(before[:2] - network.w[:2], [2, -2])
    assert np.isnan(network.w[2])


# --- rates of single parameters ----------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_factor_multiplies_the_rate_of_the_parameters_that_match(name: str) -> None:
    factors = {"0.linear.W": 0.5, "0.linear.b": 0.5, "2.linear.W": 1.0, "2.linear.b": 4.0}
    network = make_network()
    updater = Updater(create(name, weight_decay=0.1, rates={"0.*": 0.5, "2.*.b": 4.0}), network)
    singles = {}
    for parameter, factor in factors.items():
        single = make_network()
        singles[parameter] = (single, Updater(create(name, weight_decay=0.1), single), factor)
    for _ in range(6):
        g = draw_gradient(network, 1.0)
        updater.update(0.05)
        for single, its, factor in singles.values():
            single.g[...] = g
            its.update(0.05 * factor)
    for parameter, (single, its, _) in singles.items():
        actual, expected = network.views(network.w)[parameter], single.views(single.w)[parameter]
        assert actual.tobytes() == expected.tobytes()
        for slot, vector in its.slots.items():
            assert (
                network.views(updater.slots[slot])[parameter].tobytes()
                == single.views(vector)[parameter].tobytes()
            )


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_frozen_parameter_keeps_its_bits_and_does_not_affect_the_others(name: str, decoupled: bool) -> None:
    frozen, free = make_network(), make_network()
    rules: dict[str, Any] = {"weight_decay": 0.1, "decoupled": decoupled}
    freezing = Updater(create(name, **rules, rates={"0.linear.W": 0.0}), frozen)
    plain = Updater(create(name, **rules), free)
    for _ in range(12):
        frozen.g[...] = draw_gradient(free, 1.0)
        freezing.update(0.05)
        plain.update(0.05)
    first = {name: view.copy() for name, view in make_network().views(make_network().w).items()}
    for parameter, view in frozen.views(frozen.w).items():
        expected = first[parameter] if parameter == "0.linear.W" else free.views(free.w)[parameter]
        assert view.tobytes() == expected.tobytes()
        assert not np.array_equal(free.views(free.w)[parameter], first[parameter])
    with freezing.evaluated():
        assert frozen.views(frozen.w)["0.linear.W"].tobytes() == first["0.linear.W"].tobytes()


def test_no_norm_includes_the_gradient_of_a_frozen_parameter() -> None:
    network = make_network()
    g, before = draw_gradient(network, 1.0), network.w.copy()
    g[:] = network.g
    network.views(network.g)["0.linear.W"][...] *= 1e6
    trained = np.concatenate([v.ravel() for n, v in network.views(g).items() if n != "0.linear.W"])
    most = 0.5 * float(np.linalg.norm(trained))
    Updater(create("sgd", clip_norm=most, rates={"0.linear.W": 0.0}), network).update(1.0)
    assert np.linalg.norm(before - network.w) == pytest.approx(most, rel=1e-12)


def test_the_factors_of_all_matching_patterns_are_multiplied_in_any_order() -> None:
    ends = []
    for rates in ({"*": 0.5, "*.W": 0.2, "2.*": 0.0}, {"2.*": 0.0, "*.W": 0.2, "*": 0.5}):
        network = make_network()
        network.g[...] = 1
        before = network.w.copy()
        Updater(create("sgd", rates=rates), network).update(1.0)
        ends.append(network.views(before - network.w))
    for moved in ends:
        for name, factor in {"0.linear.W": 0.1, "0.linear.b": 0.5, "2.linear.W": 0, "2.linear.b": 0}.items():
            np.testing.assert_allclose(moved[name], factor, atol=1e-15)


@pytest.mark.parametrize("option", ["no_decay", "rates"])
def test_a_pattern_that_matches_nothing_names_the_nearest_parameters(option: str) -> None:
    patterns: Any = ["*.W", "0.linaer.W"]
    value = patterns if option == "no_decay" else dict.fromkeys(patterns, 0.5)
    with pytest.raises(UsageError, match=rf"optimizer\.{option}.*'0.linaer.W'; nearest: 0.linear.W"):
        Updater(create("adam", **{option: value}), make_network())


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("rates", {"*": -1.0}, "rates '\\*' must be at least 0"),
        ("rates", {"*": float("inf")}, "rates '\\*' must be at least 0 and less than inf"),
        ("rates", ["*"], "rates must be dict"),
        ("no_decay", "*", "no_decay must be list"),
        ("clip_value", 0.0, "clip_value must be more than 0"),
        ("clip_each", -1.0, "clip_each must be more than 0"),
    ],
)
def test_rules_out_of_range_are_refused(option: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create("sgd", **{option: value})


def test_rules_can_be_given_on_the_command_line() -> None:
    prepare_hydra()
    with initialize_config_dir(str(beside_or_inside("conf")), version_base="1.3"):
        root = read_root(
            compose(
                "config",
                [
                    "optimizer=momentum",
                    "optimizer.rates={0.*: 0.1, 2.linear.W: 0}",
                    "optimizer.no_decay=['*.W', 0.linear.b]",
                    "optimizer.clip_each=1.5",
                ],
            )
        )
    optimizer = registries["optimizer"].create(root.optimizer)
    assert optimizer.shared == UpdateRules(
        rates={"0.*": 0.1, "2.linear.W": 0.0}, no_decay=["*.W", "0.linear.b"], clip_each=1.5
    )
    network = make_network()
    network.g[...] = 1
    before = network.w.copy()
    Updater(optimizer, network).update(1.0)
    moved = {name: float(view.flat[0]) for name, view in network.views(before - network.w).items()}
    scale = 1.5 / np.sqrt(12)  # the gradient of the first weights, twelve ones, is clipped to the norm 1.5
    assert moved == pytest.approx(
        {
            "0.linear.W": 0.1 * scale,
            "0.linear.b": 0.1 * 1.5 / 2,
            "2.linear.W": 0,
            "2.linear.b": 1.5 / np.sqrt(3),
        }
    )
    # an MLflow parameter cannot have a name with *, so the whole mapping is one value
    assert flat({"optimizer": root.optimizer})["optimizer.rates"] == {"0.*": 0.1, "2.linear.W": 0.0}


@pytest.mark.parametrize(
    ("name", "inner"),
    [("ema", "{name: adam, beta1: 0.8}"), ("lookahead", "muon"), ("swa", "{name: momentum}")],
)
def test_an_inner_optimizer_can_be_given_on_the_command_line(name: str, inner: str) -> None:
    prepare_hydra()
    with initialize_config_dir(str(beside_or_inside("conf")), version_base="1.3"):
        root = read_root(compose("config", [f"optimizer={name}", f"optimizer.inner={inner}"]))
    optimizer = registries["optimizer"].create(root.optimizer)
    assert optimizer.inner.name in inner
    assert getattr(optimizer.inner, "beta1", None) in (None, 0.8)


RULES: list[dict[str, Any]] = [
    {"clip_value": 1.0},
    {"clip_each": 1.0},
    {"clip_norm": 1.0},
    {"rates": {"0.*": 0.5}},
    {"weight_decay": 0.1, "no_decay": ["2.*"]},
]


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_engines_with_their_own_updates_refuse_these_rules(rules: dict[str, Any]) -> None:
    network = make_network()
    updater = Updater(create("sgd", **rules), network)
    for engine in ("online", "scalar", "fused"):
        with pytest.raises(UsageError, match="clipping nor rules for single parameters"):
            create_engine(engine, network, updater, 1)
    assert create_engine("auto", network, updater, 1).name == "numpy"
    assert updater.recurrence(0.1, decay=True) is None


@pytest.mark.parametrize("own_rates", [False, True])
@pytest.mark.parametrize("rules", [*RULES, {"rates": {"0.*": 0.0, "2.*.W": 3.0}}], ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_stacked_network_updates_as_if_alone(name: str, rules: dict[str, Any], own_rates: bool) -> None:
    alone, together = [[make_network() for _ in range(3)] for _ in range(2)]
    for networks in (alone, together):
        for i, network in enumerate(networks):
            network.w *= 1 + 0.3 * i
    singles = [Updater(create(name, **rules), network) for network in alone]
    views = [Updater(create(name, **rules), network) for network in together]
    stack = Network.stacked(together)
    stacked = Updater.stacked(views, stack)
    rates = np.array([[0.05], [0.02], [0.1]]) if own_rates else 0.05
    for _ in range(7):
        for i, (network, updater) in enumerate(zip(alone, singles, strict=True)):
            stack.g[i] = draw_gradient(network, 2.0 + i)
            updater.update(float(rates[i, 0]) if isinstance(rates, np.ndarray) else rates)
        stacked.update(rates)  # type: ignore[arg-type]
    for network, updater, other, view in zip(alone, singles, together, views, strict=True):
        np.testing.assert_allclose(other.w, network.w, rtol=1e-12)
        with updater.evaluated(), view.evaluated():
            np.testing.assert_allclose(other.w, network.w, rtol=1e-12)


# --- how the optimizer is called ---------------------------------------------------------------------


class Recorder(Optimizer):
    """Records its calls, and moves the weights by the gradient."""

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


def test_slices_end_where_the_factor_of_the_rate_changes_and_nowhere_else() -> None:
    network, recorder = make_network(hidden=4), Recorder("element")
    recorder.shared = UpdateRules(rates={"0.linear.b": 0.5, "2.*": 2.0})
    Updater(recorder, network).update(0.1)
    assert recorder.calls == [((12,), 0.1, 1), ((4,), 0.05, 1), ((15,), 0.2, 1)]
    recorder.calls.clear()
    recorder.shared = UpdateRules(rates={"0.linear.b": 0.0})
    Updater(recorder, network).update(0.1)
    assert recorder.calls == [((12,), 0.1, 1), ((15,), 0.1, 1)]
    recorder.calls.clear()
    recorder.shared = UpdateRules(rates={"*.W": 1.0}, no_decay=["*"])
    Updater(recorder, network).update(0.1)
    assert recorder.calls == [((31,), 0.1, 1)]


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
def test_an_optimizer_continues_to_the_same_bits_from_weights_slots_and_step(
    name: str, rules: dict[str, Any]
) -> None:
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
        for trained, driver in ((network, updater), (other, resumed)):
            run_a_batch(trained)
            driver.update(0.05)
    assert other.w.tobytes() == network.w.tobytes()


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_state_does_not_stay_subnormal(name: str) -> None:
    """0.9 × the smallest subnormal number is rounded to that number, so it would stay forever."""
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
