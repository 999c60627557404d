"""The tools of the kit: finite differences, messages about different arrays, watched randomness."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import Bound, Layer, Optimizer, UsageError
from mlpframe.testing import (
    STEP,
    BoundLayer,
    Context,
    Skipped,
    assert_gradient,
    cases,
    central_difference,
    differences,
    find_components,
    plugin_cases,
)
from mlpframe.testing.kit import own_randomness, raising, require_close
from tests.running import ROOT, run_python

MUTANTS = Path(__file__).with_name("mutants")
FAST_ONLY = '''
import numpy as np

from mlpframe.api import Optimizer, register


@register("hop")
class Hop(Optimizer):
    """Gradient descent. w ← w − η g"""

    default_lr = 0.1

    def update(self, w, g, slots, lr, step, scratch):
        np.multiply(g, lr, scratch)
        np.subtract(w, scratch, w)
'''

IMPORTING = '''
from mlpframe.api import Metric, register


@register("late")
class Late(Metric):
    """The mean of the predictions."""

    tasks = ("regression",)

    def compute(self, prediction, target):
        import draws_when_imported

        return float(prediction.mean())
'''

# --- finite differences ------------------------------------------------------------------------------


def test_differences_equal_the_derivative_of_a_sum_of_cubes() -> None:
    x = np.array([[-2.0, 0.0, 0.5], [1.0, 3.0, -0.1]])
    before = x.tobytes()
    slope, kinks = differences(lambda: x**3, x, weights=np.array([[1.0], [10.0]]))
    assert x.tobytes() == before
    assert_gradient(slope, 3 * x**2 * [[1.0], [10.0]])
    assert not kinks.any()


def test_two_functions_that_meet_form_a_kink() -> None:
    x = np.array([-1.0, -STEP / 2, 0.0, STEP / 2, 1.0])
    slope, kinks = differences(lambda: np.abs(x), x)
    assert kinks.tolist() == [False, True, True, True, False]
    np.testing.assert_allclose(slope[[0, -1]], [-1, 1])


def test_a_strong_curvature_is_no_kink() -> None:
    x = np.linspace(-1, 1, 41)
    assert not differences(lambda: np.tanh(20 * x), x)[1].any()


def test_a_wrong_gradient_is_refused() -> None:
    x = np.array([1.0, 2.0])
    assert_gradient(2 * x, central_difference(lambda: x**2, x))
    for wrong in (2 * x + 1e-5, 2 * x * (1 + 1e-5), np.array([2.0, np.nan])):
        with pytest.raises(AssertionError):
            assert_gradient(wrong, central_difference(lambda: x**2, x))


# --- layers bound outside a network ------------------------------------------------------------------


class Walk(Layer):
    """Adds a random number to its state."""

    name = "walk"

    def state(self, n_in):
        return {"place": np.zeros(n_in)}

    def bind(self, x, dx, p, g, ctx):
        y, dy = ctx.array(*x.shape), ctx.array(*x.shape)

        def forward():
            ctx.state["place"] += ctx.rng.standard_normal(x.shape[-1])
            np.add(x, ctx.state["place"], y)

        return Bound(y, dy, forward, lambda: None)


def test_every_forward_pass_begins_with_the_same_state_and_stream() -> None:
    layer = BoundLayer(Walk(), np.zeros((2, 3)), {}, state=Walk().state(3))
    first = layer.forward()
    assert first.any()
    assert layer.ctx.drawn
    layer.bound.forward()
    assert not np.array_equal(layer.bound.y, first)
    np.testing.assert_array_equal(layer.forward(), first)


def test_values_that_a_component_does_not_write_are_nan() -> None:
    ctx = Context()
    array = ctx.array(2, 3)
    assert np.isnan(array).all()
    array[...] = 1
    ctx.rewind()
    assert np.isnan(array).all()


# --- messages ----------------------------------------------------------------------------------------


def test_the_worst_element_is_named() -> None:
    actual, expected = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.1], [3.0, 9.0]])
    with pytest.raises(AssertionError) as caught:
        require_close("dx (batch 2)", actual, expected, rtol=1e-6)
    assert str(caught.value) == "dx[1, 1] is 4, expected 9 (batch 2); 2 of 4 elements are wrong"
    require_close("dx", actual, expected, rtol=1)
    with pytest.raises(AssertionError, match=r"has the shape \(2, 2\), expected \(2,\)"):
        require_close("dx", actual, expected[0])


@pytest.mark.parametrize("tolerance", [0.0, 1.0])
@pytest.mark.parametrize(
    ("number", "other"), [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (np.inf, -np.inf)]
)
def test_nan_is_near_no_number(tolerance: float, number: float, other: float) -> None:
    with pytest.raises(AssertionError):
        require_close("x", np.array([number]), np.array([other]), atol=tolerance)


def test_without_tolerance_every_bit_counts() -> None:
    require_close("x", np.array([1.0, np.inf, np.nan]), np.array([1.0, np.inf, np.nan]))
    with pytest.raises(AssertionError):
        require_close("x", np.array([1.0]), np.nextafter([1.0], 2))


def test_use_of_a_global_random_generator_is_found() -> None:
    with own_randomness():
        np.random.default_rng(0).random()
        np.random.RandomState(0).rand()
        random.Random(0).random()
    with pytest.raises(AssertionError, match="NumPy's global generator"), own_randomness():
        np.random.rand()  # noqa: NPY002
    with pytest.raises(AssertionError, match="Python's global generator"), own_randomness():
        random.random()


def test_an_overflow_is_reported_with_its_line() -> None:
    with (
        pytest.raises(AssertionError, match=r"large x: overflow .*\(test_testing.py:\d+\)"),
        raising("large x"),
    ):
        np.exp(np.array([1e4]))


# --- components --------------------------------------------------------------------------------------


def test_a_component_is_found_by_its_name_its_kind_or_its_file() -> None:
    assert find_components("relu") == [("layer", "relu")]
    assert find_components("layer/relu") == [("layer", "relu")]
    assert find_components("optimizer") == [("optimizer", name) for name in registries["optimizer"].names()]
    assert find_components(str(registries["layer"].info("relu").file)) == [("layer", "relu")]
    assert set(find_components("optimizer")) < set(find_components("all"))
    with pytest.raises(UsageError, match="no component or file 'reluu'; nearest: "):
        find_components("reluu")


def test_a_check_that_cannot_be_made_says_why() -> None:
    (case,) = [
        candidate
        for candidate in plugin_cases(registries["dataset"].info("npy").file)
        if "matching shapes" in str(candidate)
    ]
    with pytest.raises(Skipped, match="x, y must be given; set the class attribute examples"):
        case()
    assert case.outcome().status == "skipped"


def test_a_built_in_optimizer_must_have_a_textbook_form(monkeypatch: pytest.MonkeyPatch) -> None:
    cases_of_it = [case for case in cases([("optimizer", "adagrad")]) if "textbook form" in str(case)]
    assert [case.outcome().status for case in cases_of_it] == ["ok"]
    monkeypatch.setattr(registries["optimizer"]["adagrad"], "textbook", Optimizer.textbook)
    assert [case.outcome().status for case in cases_of_it] == ["failed"]


def test_an_optimizer_of_a_plugin_may_do_without_a_textbook_form(tmp_path: Path) -> None:
    file = tmp_path / "hop.py"
    file.write_text(FAST_ONLY)
    (case,) = [candidate for candidate in plugin_cases(file) if "textbook form" in str(candidate)]
    assert (case.outcome().status, case.outcome().reason) == ("skipped", "the component has no textbook form")
    registries["optimizer"].forget(registries["optimizer"]["hop"].__module__)


def test_an_import_may_draw_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "draws_when_imported.py").write_text("import random\n\nrandom.random()\n")
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "late.py"
    file.write_text(IMPORTING)
    (case,) = [candidate for candidate in plugin_cases(file) if "global generators" in str(candidate)]
    state = random.getstate()
    assert case.outcome().status == "ok"
    assert random.getstate() != state  # the import drew a number during the check
    registries["metric"].forget(registries["metric"]["late"].__module__)


def test_the_kit_needs_neither_pytest_nor_hydra() -> None:
    program = "import sys, mlpframe.testing; print({'pytest', 'hydra', 'mlflow'} & set(sys.modules))"
    assert run_python(ROOT, "-c", program).stdout == "set()\n"
