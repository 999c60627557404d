"""Train on arrays and data frames from Python, with the settings of the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..api import UsageError
from ..config import read_root
from ..outputs import OUTPUTS
from ..registry import registries
from .compose import compose, usage_error
from .fitted import Fitted
from .folder import RunFolder
from .keys import CHOSEN
from .overrides import Override, from_settings
from .request import Request
from .train import train

DATASET = "arrays"


def fit(x: Any, y: Any, *overrides: str, test: Any = None, weights: Any = None, **settings: Any) -> Fitted:
    """Train a network on arrays or on a data frame.

    For example ``fit(x, y, epochs=50, optimizer="adam", model={"hidden": [64]})``, or with settings as on
    the command line, ``fit(x, y, "epochs=50", "optimizer=adam", "model.hidden=[64]")``. The run is recorded
    like a run from the command line. With ``tracking="none"``, the run only writes files into its folder.

    Args:
        x: inputs: an array ``(rows, features)``, images ``(rows, height, width)``, or a pandas data frame,
            whose columns may hold numbers, texts, dates and truth values. NaN is a missing value.
        y: targets, or, if ``x`` is a data frame, the name of its column to predict, or a list of names.
            Classes ``(rows,)`` are integers, booleans or strings. If a row may have several classes
            (multilabel), integers or booleans ``(rows, classes)``: 1 for each class that the row has, else 0.
            Floating-point values ``(rows,)`` or ``(rows, outputs)`` are a regression. For a data frame ``x``,
            whole numbers of few different values are classes, and other numbers are a regression.
            ``dataset={"task": ...}``, one of ``"classification"``, ``"multilabel"`` and ``"regression"``,
            decides instead.
        overrides: settings as on the command line, including the options of the dataset ``arrays``.
        test: inputs and targets ``(x, y)`` of the test part, which ``final=True`` evaluates. If ``y`` is the
            name of a column or a list of names, ``test`` is one data frame with these columns.
        weights: the weight of each row in the loss, ``(rows,)``, at least 0, or, if ``x`` is a data frame,
            the name of a column; ``None``: equal weights.
        settings: settings by key. The value of a group is a component's name, or a mapping of its options in
            which ``"name"`` chooses the component.

    Raises:
        UsageError: arrays or settings are wrong; nothing was started.
        RuntimeError: the run diverged, failed or was interrupted. The message names the run's folder.
    """
    try:
        return _fit(x, y, [*overrides, *from_settings(settings, CHOSEN)], test, weights)
    except Exception as error:
        mistake = usage_error(error)
        if mistake is None or mistake is error:
            raise
        raise mistake from error


def _fit(x: Any, y: Any, settings: list[str], test: Any, weights: Any) -> Fitted:
    overrides = [f"dataset={DATASET}", *settings]
    keys = [Override.parse(text).key for text in overrides]
    for key in keys:
        if keys.count(key) > 1 and key != "dataset":
            raise UsageError(f"{key} is given {keys.count(key)} times")
    if "resume" in keys:
        raise UsageError("fit begins a new run and cannot continue one: leave out resume; see start_from")
    config = compose(overrides)
    options = read_root(config).dataset
    if options["name"] != DATASET:
        raise UsageError(
            f"fit trains on its arguments x and y, not on dataset={options['name']}; leave out dataset="
        )
    dataset = registries["dataset"].create(options)
    dataset.hand_over(x, y, test, weights)
    folder = RunFolder(OUTPUTS / "runs" / f"{datetime.now():%Y-%m-%d/%H-%M-%S-%f}")
    try:
        (outcome,) = train([Request(config, overrides, folder, dataset)])
    except Exception:
        folder.remove_if_unused([folder.path])
        raise
    if outcome.status != "finished":
        raise RuntimeError(f"the run in {folder.path} has the status {outcome.status}: {outcome.error}")
    return Fitted(folder.model, folder)
