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


def start(subject: Subject, folder: Path, **settings: Any) -> Trainer:
    """Make a small run with the component. ``settings`` holds further arguments of ``make_run``."""
    try:
        return make_run(folder, **{subject.kind: subject.create(), **settings})
    except (ValueError, UsageError) as error:
        raise Skipped(f"the component cannot be part of the kit's small network: {error}") from error


def ended(run: Trainer) -> tuple[dict[str, Array], list[tuple[str, list[int], list[float]]]]:
    """All arrays of a run, and its history without the times."""
    arrays = {"w": run.network.w, **run.network.state}
    arrays |= {f"slot {name!r}": vector for name, vector in run.updater.slots.items()}
    names = [name for name in run.history.latest if not name.startswith("time/")]
    return arrays, [(name, *run.history.series(name)) for name in names]


@check("layer", "loss", "optimizer", "schedule")
def a_continued_run_ends_with_the_same_bits(subject: Subject) -> None:
    """A run that is saved within an epoch and continued by new objects ends with the same bits."""
    for task in subject.cls.tasks if subject.kind == "loss" else (None,):
        continue_to_the_same_bits(subject, task)


def continue_to_the_same_bits(subject: Subject, task: Task | None) -> None:
    with TemporaryDirectory() as folder:
        uninterrupted = start(subject, Path(folder) / "whole", task=task)
        fit(uninterrupted)
        arrays, meta = checkpoint.load(Path(folder) / "whole" / "checkpoints" / "middle.npz")
        require(meta["progress"]["step"] == Saving.step, "the run was saved at another step than asked for")
        continued = start(subject, Path(folder) / "continued", task=task)
        continued.restore(arrays, meta)
        fit(continued)
    expected, history = ended(uninterrupted)
    arrays_at_end, continued_history = ended(continued)
    for name, array in expected.items():
        require_close(f"{name} of a continued run", arrays_at_end[name], array)
    for (name, steps, values), (_, other_steps, continued_values) in zip(
        history, continued_history, strict=True
    ):
        require(steps == other_steps, f"a continued run records {name} at other steps")
        require_close(f"{name} of a continued run", np.array(continued_values), np.array(values))


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
def state_is_restored_from_json(subject: Subject) -> None:
    """The callback's state after a run can be written as JSON, and a new instance restores the same state."""
    for callback in (subject.create(), run_with(subject)[0]):
        state = callback.state()
        try:
            text = json.dumps(state, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise AssertionError(f"state() cannot be written as JSON: {error}") from error
        restored = subject.create()
        restored.restore(json.loads(text))
        restored_text = json.dumps(restored.state(), allow_nan=False)
        require(restored_text == text, f"the state {text} is restored as {restored_text}")


@check("callback")
def callbacks_share_no_state(subject: Subject) -> None:
    """A run with one instance does not change the state of another instance."""
    second = subject.create()
    before = json.dumps(second.state())
    run_with(subject)
    require(
        json.dumps(second.state()) == before, "a run with one instance changes the state of another instance"
    )
