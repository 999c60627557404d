"""Training on arrays from Python, configured the way the command line is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..api import UsageError
from ..config import read_root
from ..outputs import OUTPUTS
from ..registry import registries
from ..training.predictor import Predictor
from .compose import compose
from .folder import RunFolder
from .request import Request
from .train import train

DATASET = "arrays"


@dataclass(frozen=True)
class Fitted:
    """A finished run: its model, the latest value of every metric, and the folder with all it has left."""

    predictor: Predictor
    metrics: dict[str, float]
    folder: Path


def fit(x: Any, y: Any, *overrides: str, test: tuple[Any, Any] | None = None, weights: Any = None) -> Fitted:
    """Train a network on arrays, for example ``fit(x, y, "model.hidden=[64]", "epochs=50", "seed=1")``.

    The run is recorded as one of the command line is; ``tracking=none`` leaves files in its folder only.

    Args:
        x: inputs ``(rows, features)``, or images ``(rows, height, width)``; NaN is a missing value.
        y: targets: classes ``(rows,)`` as whole numbers, truth values or texts; or floating values
            ``(rows,)`` or ``(rows, outputs)``, which need a loss for them, such as ``loss=mse``.
        overrides: settings as on the command line, with the options of the dataset ``arrays``.
        test: inputs and targets of a test part, for ``final=true``.
        weights: how much each row counts, ``(rows,)``, at least 0; ``None``: all the same.

    Raises:
        UsageError: arrays or settings are wrong; nothing was started.
        RuntimeError: the run has diverged, failed or been interrupted; says what is in its folder.
    """
    given = [f"dataset={DATASET}", *overrides]
    config = compose(given)
    options = read_root(config).dataset
    if options["name"] != DATASET:
        raise UsageError(f"fit trains on the arrays it is given, not on dataset={options['name']}")
    dataset = registries["dataset"].create(options)
    dataset.hand_over(x, y, test, weights)
    folder = RunFolder(OUTPUTS / "runs" / f"{datetime.now():%Y-%m-%d/%H-%M-%S-%f}")
    try:
        (outcome,) = train([Request(config, given, folder, dataset)])
    except Exception:
        folder.remove_if_unused([folder.path])
        raise
    if outcome.status != "finished":
        raise RuntimeError(f"the run in {folder.path} {outcome.status}: {outcome.error}")
    return Fitted(Predictor(folder.path / "model" / "model.npz"), outcome.metrics, folder.path)
