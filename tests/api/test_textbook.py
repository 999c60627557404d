"""How the base classes complete a component with only a textbook form, and how forms are inherited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import Array, Context, Layer, Loss, Optimizer, UsageError, register
from mlpframe.testing.textbook import without_fast_form
from mlpframe.training.network import Network
from mlpframe.training.rng import Streams


@pytest.fixture
def names() -> Iterator[None]:
    """Forget the components that a test has registered, after the test."""
    yield
    for registry in registries.values():
        registry.forget(__name__)


# --- layers ------------------------------------------------------------------------------------------


class Count(Layer):
    """Adds uniform random numbers, and counts its forward passes."""

    name = "count"

    def state(self, n_in: int) -> dict[str, Array]:
        return {"count": np.zeros(1)}

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> Any:
        if ctx.training:
            ctx.state["count"][:] += 1
        return x + ctx.rng.random(x.shape), lambda dy: (dy, {})


def make_network(seed: int) -> Network:
    layers = [registries["layer"].create("linear", units=3), Count()]
    loss = registries["loss"].create("cross_entropy")
    return Network(layers, loss, 4, np.zeros(1, np.intp), "float64", Streams(seed))


def train(network: Network, steps: int = 3) -> None:
    plan = network.plan(5, training=True)
    plan.x[...] = np.random.default_rng(0).standard_normal((5, 4))
    plan.target[...] = np.arange(5) % 3
    for _ in range(steps):
        plan.step()
        network.w -= 0.1 * network.g


def test_each_stacked_network_has_its_own_random_stream_and_state() -> None:
    alone, together = ([make_network(seed) for seed in (1, 2, 3)] for _ in range(2))
    train(together[2])  # the second network's stream and state are ahead of the other networks'
    train(alone[2])
    train(Network.stacked(together))
    for single, stacked in zip(alone, together, strict=True):
        train(single)
        np.testing.assert_allclose(stacked.w, single.w, rtol=1e-12)
        np.testing.assert_array_equal(stacked.state["1.count.count"], single.state["1.count.count"])
    assert [network.state["1.count.count"].item() for network in together] == [3, 3, 6]
    assert not np.allclose(together[0].w, together[1].w)


def test_calling_the_textbook_form_that_a_layer_lacks_is_an_error() -> None:
    class Fast(Layer):
        name = "fast_only"

        def bind(self, *_: Any) -> Any: ...

    with pytest.raises(NotImplementedError, match="the layer 'fast_only' has no textbook form"):
        Fast().textbook(np.zeros((1, 1)), {}, None)  # type: ignore[arg-type]


# --- losses ------------------------------------------------------------------------------------------


def test_a_loss_of_probabilities_gets_class_numbers_as_one_hot_rows() -> None:
    output, classes = np.zeros((2, 3), np.float32), np.array([2, 0])
    onehot = registries["loss"].create("cross_entropy").textbook_target(output, classes)
    np.testing.assert_array_equal(onehot, [[0, 0, 1], [1, 0, 0]])
    assert onehot.dtype == np.float32

    class Numbers(Loss):
        tasks = ("classification",)

        def textbook(self, output: Array, target: Array) -> tuple[Array, Array]: ...

    assert Numbers().textbook_target(output, classes) is classes


# --- optimizers --------------------------------------------------------------------------------------


class Reflect(Optimizer):
    """Steps from the previous weights, and returns its arguments unchanged as slots."""

    name = "reflect"
    default_lr = 0.1

    def textbook(self, w: Array, g: Array, lr: float, t: int, before: Array, slope: Array) -> Any:
        return before - lr * g, w, g


def test_slots_are_the_arguments_after_t() -> None:
    assert Reflect.slots == ("before", "slope")


def test_explicit_slots_replace_the_slots_of_the_signature() -> None:
    class Named(Reflect):
        slots = ("a", "b")

        def textbook(self, w: Array, g: Array, lr: float, t: int, before: Array, slope: Array) -> Any:
            return super().textbook(w, g, lr, t, before, slope)

    assert Named.slots == ("a", "b")
    assert registries["optimizer"].create("adam").slots == ("m_sum", "v_sum")


def test_weights_returned_as_a_slot_are_the_weights_before_the_update() -> None:
    w, slots = np.array([1.0, 2.0]), {"before": np.array([5.0, 6.0]), "slope": np.zeros(2)}
    Reflect().update(w, np.array([10.0, 20.0]), slots, 0.1, 1, np.empty(2))
    np.testing.assert_array_equal(w, [4.0, 4.0])
    np.testing.assert_array_equal(slots["before"], [1.0, 2.0])
    np.testing.assert_array_equal(slots["slope"], [10.0, 20.0])


# --- which forms a class has -------------------------------------------------------------------------


def test_a_component_with_neither_form_is_refused_in_one_sentence() -> None:
    for base, fast in ((Layer, "bind"), (Loss, "rows"), (Optimizer, "update")):
        empty = type("Empty", (base,), {"__doc__": "Nothing."})
        with pytest.raises(UsageError) as caught:
            register("empty")(empty)
        assert str(caught.value) == (
            f"{base.kind} 'empty' computes nothing: the class Empty must define the method textbook or {fast}"
        )
        assert "empty" not in registries[base.kind]


@pytest.mark.usefixtures("names")
def test_an_optimizer_that_searches_needs_neither_form() -> None:
    @register("jump")
    class Jump(Optimizer):
        """Sets the weights to zero."""

        scope = "search"

        def search(self, w: Array, g: Array, lr: float, evaluate: Any) -> None:
            w[...] = 0

    with pytest.raises(UsageError, match="optimizer=jump evaluates the loss itself"):
        Jump().update(np.ones(1), np.ones(1), {}, 0.1, 1, np.ones(1))


def test_a_subclass_that_rewrites_one_form_does_not_inherit_the_other() -> None:
    adam = registries["optimizer"]["adam"]

    class Slow(adam):  # type: ignore[valid-type, misc]
        def textbook(self, w: Array, g: Array, lr: float, t: int, m: Array) -> Any:
            return w - 7 * g, m

    w = np.ones(2)
    Slow().update(w, np.ones(2), {"m": np.zeros(2)}, 0.1, 1, np.empty(2))
    np.testing.assert_array_equal(w, [-6, -6])
    assert (Slow.has_textbook_form(), Slow.has_fast_form(), Slow.slots) == (True, False, ("m",))

    class Fast(adam):  # type: ignore[valid-type, misc]
        def update(self, *_: Any) -> None: ...

    assert (Fast.has_textbook_form(), Fast.has_fast_form()) == (False, True)
    assert Fast.slots == adam.slots
    same = type("Same", (adam,), {})
    assert (same.has_textbook_form(), same.has_fast_form()) == (True, True)


def test_without_the_fast_form_options_and_textbook_form_remain() -> None:
    adam = registries["optimizer"].create("adam", beta1=0.5)
    plain = without_fast_form(registries["optimizer"].create("adam", beta1=0.5))
    assert (plain.has_textbook_form(), plain.has_fast_form()) == (True, False)
    results = []
    for optimizer in (adam, plain):
        w, slots = np.ones(3), {name: np.zeros(3) for name in optimizer.slots}
        for step in (1, 2):
            optimizer.update(w, np.array([1.0, -2.0, 0.0]), slots, 0.1, step, np.empty(3))
        results.append(w)
    np.testing.assert_allclose(*results, rtol=1e-12)
    assert not np.array_equal(results[0], np.ones(3))


def test_the_source_is_shown_without_its_indentation() -> None:
    text = registries["optimizer"].info("sgd").textbook
    first, last = text.splitlines()
    assert first.startswith("def textbook(self, w")
    assert last == "    return w - lr * g"
    assert registries["optimizer"].info("lbfgs").textbook == ""
    assert registries["schedule"].info("constant").textbook == ""
