"""Find likely reasons for the divergence of a run, and the setting that helps against each reason."""

from __future__ import annotations

import numpy as np

from ..api import Loss, Splits
from .data.prepare import Data

HUGE = 1e3
"""Inputs above this size make the outputs and the gradients of a new network about as large as the inputs."""
WIDE = 10.0
"""A target of this root mean square makes the first gradients ten times as large as a scaled target does."""
FAST = 3.0
"""A learning rate above this multiple of the optimizer's default rate is a likely reason for divergence."""
ROWS = 1 << 16
MOST = 2
"""The largest number of reasons that a message names."""


def explain(data: Data, loss: Loss, optimizer: str, lr: float, default_lr: float) -> str:
    """The likely reasons for a divergence: one line for each reason, with the setting that helps.

    Args:
        data: the data of the run.
        loss: the loss of the run.
        optimizer: the optimizer's name.
        lr: the learning rate when the run diverged.
        default_lr: the optimizer's default learning rate.
    """
    known = [_of_inputs(data), _of_target(data, loss), _of_rate(optimizer, lr, default_lr)]
    reasons = [reason for reason in known if reason]
    return "\n".join(reasons[:MOST]) or f"a smaller lr may help, such as lr={lr / 10:.3g}"


def _of_inputs(data: Data) -> str:
    splits, scaling = data.splits, data.encoder.scaling
    largest = np.zeros(data.train.x.shape[1])
    for start in range(0, len(data.train), ROWS):  # a mapped file may be larger than the memory
        # the maximum of NaN and a number is NaN, so a NaN in the data is found below
        largest = np.maximum(largest, np.abs(data.train.x[start : start + ROWS]).max(0))
    data.train.release()
    bad = np.flatnonzero(~np.isfinite(largest))
    if len(bad):
        return (
            f"{_name(splits, bad[0])} has a value that is not finite in the training rows: correct the data"
        )
    worst = int(largest.argmax())
    if largest[worst] <= HUGE:
        return ""
    how = "standard" if scaling.scale is None else "robust"
    what = "are not scaled" if scaling.scale is None else "have outliers"
    return (
        f"the inputs {what}: {_name(splits, worst)} reaches {largest[worst]:.3g}; set dataset.scaling={how}"
    )


def _name(splits: Splits, position: int | np.intp) -> str:
    return splits.feature_names[position] if splits.feature_names else f"input {position}"


def _of_target(data: Data, loss: Loss) -> str:
    if data.splits.task != "regression":
        return ""
    y = data.train.y.astype(np.float64)
    if not np.isfinite(y).all():
        return "the target has values that are not finite: correct the data"
    size, spread = np.sqrt((y**2).mean(0)).max(), y.std(0).max()
    if data.encoder.target.scale is not None or not loss.measures_distance or size <= WIDE:
        return ""
    return (
        f"the target is not scaled: its mean is {y.mean():.3g} and its standard deviation {spread:.3g}; "
        "set dataset.scale_target=true"
    )


def _of_rate(optimizer: str, lr: float, default_lr: float) -> str:
    if lr <= FAST * default_lr:
        return ""
    return (
        f"the learning rate {lr:.3g} is {lr / default_lr:,.0f} times the default of {optimizer}; "
        f"set lr={default_lr:g}"
    )
