"""The contenders that are measured on the tables, by their names on the page."""

from __future__ import annotations

from collections.abc import Mapping

from . import baselines, own
from .contest import Contender

DEFAULT = "default"
PRESET = "experiment=table"
MLP = "scikit-learn MLP"
BOOSTING = "histogram boosting"

CONTENDERS: Mapping[str, Contender] = {
    DEFAULT: own.command("dataset=csv"),
    PRESET: own.command("experiment=table"),
    MLP: baselines.mlp,
    BOOSTING: baselines.boosting,
}
