"""What a callback implements, and what it sees of a run."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .component import Array
from .dataset import Splits, Table


class Run(Protocol):
    """What a callback sees of the run and may do to it."""

    title: str
    epochs: int
    total_steps: int
    metric_names: list[str]
    """The metrics that every epoch has."""
    folder: Path
    """The run's folder; what lies in its ``figures/`` at the end is recorded."""

    @property
    def splits(self) -> Splits:
        """What the data are; their rows as loaded."""

    @property
    def train(self) -> Table:
        """The rows that are trained on, prepared; transforms have not been applied."""

    @property
    def epoch(self) -> int:
        """Epochs done."""

    @property
    def step(self) -> int:
        """Parameter updates done."""

    @property
    def lr(self) -> float:
        """The rate of the next update."""

    @property
    def latest(self) -> Mapping[str, float]:
        """The latest value of every metric."""

    def parameters(self) -> Mapping[str, Array]:
        """The weights that are trained, by name, as ``"0.linear.W"``; read-only, they change in training."""

    def gradients(self, rows: int) -> Mapping[str, Array]:
        """The gradient of the mean loss over the first ``rows`` training rows, by parameter.

        In training mode; random numbers and the layers' state are afterwards what they were.
        """

    def activations(self, x: Array) -> Mapping[str, Array]:
        """Every layer's outputs ``(n, width)`` for inputs ``(n, features)``, evaluated; by layer."""

    def predict(self, x: Array) -> Array:
        """Class probabilities, or values, ``(n, n_outputs)`` for inputs ``(n, features)``."""

    def log(self, values: Mapping[str, float]) -> None:
        """Record metrics at this step."""

    def stop(self, reason: str) -> None:
        """End the run after this block of batches."""

    def save(self, name: str) -> None:
        """Save all state as ``checkpoints/<name>.npz`` in the run's folder."""


class Callback(ABC):
    """Something that is done beside training."""

    kind: ClassVar[str] = "callback"
    name: ClassVar[str]
    only_shows: ClassVar[bool] = False
    """Whether it only draws or prints: an error in it is then told, and does not end the run."""

    def check(self, run: Run) -> None:
        """Before anything is recorded: raise ``UsageError`` if it cannot work in this run."""

    def on_start(self, run: Run) -> None:
        """Before the first step, also of a continued run."""

    def on_window(self, run: Run) -> None:
        """After every window of ``log_every`` steps."""

    def on_epoch(self, run: Run) -> None:
        """After every epoch and its validation."""

    def on_end(self, run: Run) -> None:
        """After the last step."""

    def on_failure(self, run: Run, error: BaseException) -> None:
        """When the run ends by an error or an interruption."""

    def state(self) -> dict[str, Any]:
        """What has to be remembered across a restart, as plain values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what ``state()`` returned."""
