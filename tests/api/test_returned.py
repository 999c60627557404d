"""If a textbook form returns too few values or wrong values, the error says what it must return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlpframe.api import Layer, Loss, Optimizer, Parameter, UsageError
from mlpframe.testing.layers import BoundLayer


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda w, _m: w, r"must return \(the new w, the new m\), but it returns one ndarray"),
        (lambda w, m: [w, m], "but it returns one list"),
        (lambda _w, _m: None, "but it returns one NoneType"),
        (lambda w, m: (w, m, m), "but it returns 3 values"),
        (lambda w, _m: (w, None), "but it returns 2 values"),
    ],
)
def test_an_optimizer_returns_new_weights_and_slots(result: Callable[[Any, Any], Any], words: str) -> None:
    class Rule(Optimizer):
        name = "rule"

        def textbook(self, w: Any, g: Any, lr: Any, t: Any, m: Any) -> Any:
            return result(w, m)

    w, m = np.ones(3), np.zeros(3)
    with pytest.raises(UsageError, match=words):
        Rule().update(w, w, {"m": m}, 0.1, 1, np.empty(3))


@pytest.mark.parametrize(
    ("forward", "backward", "words"),
    [
        (lambda y, _back: y, None, r"textbook of 'layer' must return \(y, the function backward\)"),
        (
            lambda y, back: (y, back),
            lambda dy: dy,
            r"backward of 'layer' must return \(∂loss/∂x, the gradients",
        ),
        (
            lambda y, back: (y, back),
            lambda dy: (dy, {}),
            r"a gradient of shape \(2,\) for 's'; it returns no gradients",
        ),
        (
            lambda y, back: (y, back),
            lambda dy: (dy, {"s": dy.sum()}),
            r"a gradient of shape \(2,\) for 's'; it returns s",
        ),
    ],
)
def test_a_layer_returns_its_backward_pass_and_a_gradient_for_each_parameter(
    forward: Any, backward: Any, words: str
) -> None:
    class Scale(Layer):
        name = "layer"

        def parameters(self, n_in: int) -> dict[str, Parameter]:
            return {"s": Parameter((n_in,), "normal")}

        def textbook(self, x: Any, p: Any, ctx: Any) -> Any:
            return forward(x * p["s"], backward)

    bound = BoundLayer(Scale(), np.ones((5, 2)), {"s": np.ones(2)})

    def step() -> None:
        bound.forward()
        bound.backward(np.ones((5, 2)))

    with pytest.raises(UsageError, match=words):
        step()


def test_a_loss_returns_losses_and_derivatives() -> None:
    class Half(Loss):
        name = "half"
        tasks = ("regression",)

        def textbook(self, output: Any, target: Any) -> Any:
            return ((output - target) ** 2).mean(-1) / 2

    ctx: Any = None
    run = Half().rows(np.ones((5, 2)), np.ones((5, 2)), np.ones((5, 2)), np.ones(5), ctx)
    with pytest.raises(
        UsageError, match=r"textbook of 'half' must return \(the losses of the rows, ∂loss/∂output\)"
    ):
        run()
