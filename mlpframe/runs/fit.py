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
    """A finished run: its model, the latest value of every metric, and the folder with its files."""

    predictor: Predictor
    metrics: dict[str, float]
    folder: Path


def fit(x: Any, y: Any, *overrides: str, test: tuple[Any, Any] | None = None, weights: Any = None) -> Fitted:
    """Train a network on arrays, for example ``fit(x, y, "model.hidden=[64]", "epochs=50", "seed=1")``.

    The run is recorded like a run from the command line. With ``tracking=none``, the run only writes files
    into its folder.

    Args:
        x: inputs ``(rows, features)``, or images ``(rows, height, width)``; NaN is a missing value.
        y: targets. Classes ``(rows,)`` are integers, booleans or strings. If a row may have several classes
            (multilabel), integers or booleans ``(rows, classes)``: 1 for each class that the row has, else 0;
            this needs a multilabel loss, such as ``loss=binary_cross_entropy``. Floating-point values
            ``(rows,)`` or ``(rows, outputs)`` need a regression loss, such as ``loss=mse``. So type and shape
            decide; ``dataset.task=`` ``classification``, ``multilabel`` or ``regression`` decides instead,
            for example if floating-point zeros and ones are classes.
        overrides: settings as on the command line, including the options of the dataset ``arrays``.
        test: inputs and targets of the test part, which ``final=true`` evaluates.
        weights: the weight of each row in the loss, ``(rows,)``, at least 0; ``None``: equal weights.

    Raises:
        UsageError: arrays or settings are wrong; nothing was started.
        RuntimeError: the run diverged, failed or was interrupted. The message says what its folder holds.
    """
    all_overrides = [f"dataset={DATASET}", *overrides]
    config = compose(all_overrides)
    options = read_root(config).dataset
    if options["name"] != DATASET:
        raise UsageError(
            f"fit trains on its arguments x and y, not on dataset={options['name']}; leave out dataset="
        )
    dataset = registries["dataset"].create(options)
    dataset.hand_over(x, y, test, weights)
    folder = RunFolder(OUTPUTS / "runs" / f"{datetime.now():%Y-%m-%d/%H-%M-%S-%f}")
    try:
        (outcome,) = train([Request(config, all_overrides, folder, dataset)])
    except Exception:
        folder.remove_if_unused([folder.path])
        raise
    if outcome.status != "finished":
        raise RuntimeError(f"the run in {folder.path} has the status {outcome.status}: {outcome.error}")
    return Fitted(Predictor(folder.path / "model" / "model.npz"), outcome.metrics, folder.path)
