"""The conformance kit: what holds for every component of a kind, whoever wrote it.

In a test of your own::

    import pytest
    from mlpframe.testing import plugin_cases

    @pytest.mark.parametrize("case", plugin_cases(Path("my_plugins/swish.py")), ids=str)
    def test_conforms(case):
        case()

or ``python -m mlpframe check my_plugins/swish.py``, or ``pytest --mlpframe-plugin my_plugins/swish.py``.
A component that has options without defaults says what to try in a class attribute, for instance
``examples = ({"columns": [0, 1]},)``; examples of other components are tried beside their defaults.
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
)
"""The modules of the checks; importing one adds its checks."""

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
