"""Who takes part, by the name on the page."""

from __future__ import annotations

from collections.abc import Mapping

from . import baselines
from .contest import Contender

DEFAULT = "default"
PRESET = "experiment=table"
MLP = "scikit-learn MLP"
BOOSTING = "histogram boosting"

CONTENDERS: Mapping[str, Contender] = {
    # mlpframe's own come here, first DEFAULT (the bare command), then PRESET
    MLP: baselines.mlp,
    BOOSTING: baselines.boosting,
}
