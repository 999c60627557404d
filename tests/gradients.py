"""What the kit has for finite differences, under the name by which tests import it."""

from __future__ import annotations

from mlpframe.testing import (
    BoundLayer,
    BoundLoss,
    Context,
    assert_gradient,
    away_from_zero,
    central_difference,
    create_layer,
    create_loss,
    draw_parameters,
)

__all__ = [
    "BoundLayer",
    "BoundLoss",
    "Context",
    "assert_gradient",
    "away_from_zero",
    "central_difference",
    "create_layer",
    "create_loss",
    "draw_parameters",
]
