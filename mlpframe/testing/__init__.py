"""The conformance kit: checks of the facts that hold for every component of a kind.

Use the kit in a test of your own::

    import pytest
    from mlpframe.testing import plugin_cases

    @pytest.mark.parametrize("case", plugin_cases(Path("my_plugins/swish.py")), ids=str)
    def test_conforms(case):
        case()

or run ``python -m mlpframe check my_plugins/swish.py`` or ``pytest --mlpframe-plugin my_plugins/swish.py``.

If a component has options without defaults, its class attribute ``examples`` holds the options to try, for
instance ``examples = ({"columns": [0, 1]},)``. Any other component is tried with its defaults, and also with
its ``examples`` if it has some.
"""

from __future__ import annotations

from . import (
    components,
    datasets,
    engines,
    initializers,
    layers,
    losses,
    metrics,
    models,
    onnx,
    optimizers,
    schedules,
    textbook,
    training,
    transforms,
)
from .gradients import (
    STEP,
    BoundLayer,
    BoundLoss,
    Context,
    assert_gradient,
    away_from_zero,
    central_difference,
    create_layer,
    create_loss,
    differences,
    draw_parameters,
)
from .kit import Case, Check, Outcome, Skipped, Subject, cases, checks, find_components, plugin_cases

CHECKS = (
    components,
    layers,
    losses,
    optimizers,
    schedules,
    initializers,
    datasets,
    metrics,
    models,
    transforms,
    training,
    engines,
    textbook,
    onnx,
)
"""The modules with checks. Importing a module adds its checks to the kit."""

__all__ = [
    "STEP",
    "BoundLayer",
    "BoundLoss",
    "Case",
    "Check",
    "Context",
    "Outcome",
    "Skipped",
    "Subject",
    "assert_gradient",
    "away_from_zero",
    "cases",
    "central_difference",
    "checks",
    "create_layer",
    "create_loss",
    "differences",
    "draw_parameters",
    "find_components",
    "plugin_cases",
]
