"""Whatever a run is made of, an interrupted run continues to the same bits.

``tests/training/test_trainer.py`` tries every optimizer and every schedule.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from mlpframe import registries
from mlpframe.api import Array, Callback, UsageError
from mlpframe.config import Root, read_root
from mlpframe.runs.build import blas_threads, build_trainer
from mlpframe.runs.compose import compose
from mlpframe.runs.folder import RunFolder
from mlpframe.runs.request import Request
from mlpframe.tracking.client import NoTracker
from mlpframe.training.lockstep import Lockstep
from mlpframe.training.trainer import Interrupted, Trainer

SMALL = ("dataset.num_train=90", "dataset.num_val=30", "batch_size=10", "epochs=4", "log_every=2", "seed=3")
"""9 steps an epoch, 36 steps in all."""
MEASURES_TIME = {"time_budget"}
"""Callbacks whose state is a time."""


def written(value: Any) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value)


def examples(kind: str) -> Iterator[tuple[str, str]]:
    """Every component of a kind: its name, and its options in Hydra's grammar."""
    for name in registries[kind].names():
        for options in getattr(registries[kind][name], "examples", ({},)):
            yield name, written(dict(options))


IMAGES = ("dataset=digits", "model.hidden=[8]", "epochs=3", "batch_size=200", "log_every=2")
NEEDS = {"decision_boundary": ("dataset=moons", "epochs=3", "log_every=2"), "weight_pictures": IMAGES}
"""The settings of callbacks that need data of their own."""


def cases() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Configurations by name, one for each component that has state or draws random numbers."""
    synth = ("dataset=synth", *SMALL)
    for name, options in examples("transform"):
        yield f"transform {name} {options}", (*IMAGES, f"transforms.{name}={options}")
    for name, options in examples("callback"):
        yield f"callback {name} {options}", (*NEEDS.get(name, synth), f"callbacks.{name}={options}")
    for name, options in examples("layer"):
        layer = f"{{name:{name},{options[1:]}".replace(",}", "}")
        layers = f"model.layers=[{{name:linear,units:6}},{layer},linear]"
        yield f"layer {name} {options}", (*synth, "model=layers", layers)
    for name in registries["engine"].names():
        for optimizer in ("sgd", "momentum", "adam"):
            yield f"engine {name} {optimizer}", (*synth, f"engine={name}", f"optimizer={optimizer}")


class Interrupting(Callback):
    """Interrupts the run at a step, as a signal does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_window(self, run: Any) -> None:
        if run.step == self.step:
            run.interrupt(signal.SIGTERM)

    on_epoch = on_window


def build(root: Root, folder: Path, stop: int | None, resume: str | None) -> Trainer:
    """A new trainer in a folder. It continues the run in the folder if ``resume`` names the folder."""
    request = Request(OmegaConf.create(), [], RunFolder(folder))
    trainer = build_trainer(replace(root, resume=resume), request, 1, tracker=NoTracker())
    if stop is not None:
        trainer.callbacks = {**trainer.callbacks, "interrupting": Interrupting(stop)}
    return trainer


def train(trainer: Trainer) -> None:
    ((ended,),) = Lockstep([trainer]).run()
    if ended[1] is not None:
        raise ended[1]


def state(trainer: Trainer) -> tuple[dict[str, Array], dict[str, Any]]:
    """All that a checkpoint holds, except for times."""
    arrays, meta = trainer.state()
    meta["progress"]["epoch_seconds"] = 0.0
    meta["callbacks"] = {name: meta["callbacks"][name] for name in meta["callbacks"].keys() - MEASURES_TIME}
    del meta["about"]
    return {name: arrays[name] for name in arrays if not name.startswith("history/time/")}, meta


CASES = dict(cases())


@pytest.mark.parametrize("name", CASES)
def test_an_interrupted_run_continues_to_the_same_bits(tmp_path: Path, name: str) -> None:
    root = read_root(compose([*CASES[name], "callbacks.progress=null", "tracking=none", "threads=1"]))
    with blas_threads(1, 1):
        try:
            whole = build(root, tmp_path / "whole", None, None)
        except UsageError as refused:
            pytest.skip(f"refused: {refused}")
        continue_in_parts(root, tmp_path / "interrupted", whole)


def continue_in_parts(root: Root, folder: Path, whole: Trainer) -> None:
    train(whole)
    resume = None
    for stop in sorted({whole.step // 9, whole.step // 3, 2 * (whole.step // 4)} - {0}):
        stop -= stop % root.log_every
        with pytest.raises(Interrupted):
            train(build(root, folder, stop, resume))
        resume = str(folder)
    continued = build(root, folder, None, resume)
    assert 0 < continued.step < whole.step
    train(continued)
    (arrays, meta), (expected, expected_meta) = state(continued), state(whole)
    assert arrays.keys() == expected.keys()
    assert [key for key in expected if arrays[key].tobytes() != expected[key].tobytes()] == []
    assert json.dumps(meta, sort_keys=True) == json.dumps(expected_meta, sort_keys=True)
