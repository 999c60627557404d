"""Checks in a small run: a run that is saved in the middle and continued ends with the same bits."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..api import Array, UsageError
from ..api.component import Task
from ..training import checkpoint
from ..training.trainer import Trainer
from .components import exercise
from .kit import Skipped, Subject, check, require, require_close
from .running import Saving, fit, make_run


def start(subject: Subject, folder: Path, **given: Any) -> Trainer:
    """Start a run with the component. ``given`` holds further arguments of ``make_run``."""
    try:
        return make_run(folder, **{subject.kind: subject.create(), **given})
    except (ValueError, UsageError) as error:
        raise Skipped(f"it cannot be part of the kit's small network: {error}") from error


def ended(run: Trainer) -> tuple[dict[str, Array], list[tuple[str, list[int], list[float]]]]:
    """All arrays of a run, and its history without the times."""
    arrays = {"w": run.network.w, **run.network.state}
    arrays |= {f"slot {name!r}": vector for name, vector in run.updater.slots.items()}
    names = [name for name in run.history.latest if not name.startswith("time/")]
    return arrays, [(name, *run.history.series(name)) for name in names]


@check("layer", "loss", "optimizer", "schedule")
def a_run_continues_to_the_same_bits(subject: Subject) -> None:
    """A run that is saved within an epoch and continued by new objects ends with the same bits."""
    for task in subject.cls.tasks if subject.kind == "loss" else (None,):
        continue_to_the_same_bits(subject, task)


def continue_to_the_same_bits(subject: Subject, task: Task | None) -> None:
    with TemporaryDirectory() as folder:
        whole = start(subject, Path(folder) / "whole", task=task)
        fit(whole)
        arrays, meta = checkpoint.load(Path(folder) / "whole" / "checkpoints" / "middle.npz")
        require(meta["progress"]["step"] == Saving.step, "the run was not saved where it should be")
        continued = start(subject, Path(folder) / "continued", task=task)
        continued.restore(arrays, meta)
        fit(continued)
    expected, history = ended(whole)
    found, other = ended(continued)
    for name, array in expected.items():
        require_close(f"{name} of a continued run", found[name], array)
    for (name, steps, values), (_, other_steps, others) in zip(history, other, strict=True):
        require(steps == other_steps, f"a continued run reports {name} at other steps")
        require_close(f"{name} of a continued run", np.array(others), np.array(values))


@exercise("callback")
def use(subject: Subject) -> None:
    run_with(subject)


def run_with(subject: Subject) -> tuple[Any, Trainer]:
    """Run training with a callback. Returns the callback and the run."""
    callback = subject.create()
    with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        run = make_run(Path(folder), callbacks={subject.name: callback})
        try:
            callback.check(run)
        except UsageError as error:
            raise Skipped(str(error)) from error
        fit(run)
    return callback, run


@check("callback")
def its_state_is_plain_and_comes_back(subject: Subject) -> None:
    """The callback's state after a run can be written as JSON, and a new instance restores the same state."""
    for callback in (subject.create(), run_with(subject)[0]):
        state = callback.state()
        try:
            text = json.dumps(state, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise AssertionError(f"state() is no JSON: {error}") from error
        other = subject.create()
        other.restore(json.loads(text))
        again = json.dumps(other.state(), allow_nan=False)
        require(again == text, f"the state {text} comes back as {again}")


@check("callback")
def callbacks_share_nothing(subject: Subject) -> None:
    """A run with one instance does not change the state of another instance."""
    other = subject.create()
    before = json.dumps(other.state())
    run_with(subject)
    require(json.dumps(other.state()) == before, "a run with one instance changes the state of another")
