"""What a callback implements, and what it sees of a run."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .component import Array
from .dataset import Splits, Table


class Run(Protocol):
    """What a callback can read of a run, and do to the run."""

    title: str
    epochs: int
    total_steps: int
    metric_names: list[str]
    """The metrics that every epoch records."""
    folder: Path
    """The run's folder. The files in its ``figures/`` are recorded at the end of the run."""

    @property
    def splits(self) -> Splits:
        """The data set: its description, and its rows as loaded."""

    @property
    def train(self) -> Table:
        """The training rows, prepared, but before transforms."""

    @property
    def validation(self) -> Table | None:
        """The validation rows, prepared; ``None`` in a run without a validation part."""

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""

    @property
    def step(self) -> int:
        """Number of parameter updates done."""

    @property
    def lr(self) -> float:
        """The learning rate of the next update."""

    @property
    def latest(self) -> Mapping[str, float]:
        """The latest value of every metric."""

    def parameters(self) -> Mapping[str, Array]:
        """The trained parameters by name, for example ``"0.linear.W"``.

        The arrays are read-only, and training changes their values.
        """

    def gradients(self, rows: int) -> Mapping[str, Array]:
        """The gradient of the mean loss over the first ``rows`` training rows, by parameter.

        The network runs in training mode. Afterwards, the random streams and the layers' state are restored.
        """

    def activations(self, x: Array) -> Mapping[str, Array]:
        """Every layer's outputs ``(n, width)`` by layer name, in evaluation mode, for ``(n, features)``."""

    def predict(self, x: Array) -> Array:
        """Predicted class probabilities or values ``(n, n_outputs)`` for inputs ``(n, features)``."""

    def log(self, values: Mapping[str, float]) -> None:
        """Record metrics at the current step."""

    def stop(self, reason: str) -> None:
        """End the run after this block of batches."""

    def save(self, name: str) -> None:
        """Save all state of the run as ``checkpoints/<name>.npz`` in the run's folder."""

    def take_weights(self, name: str) -> None:
        """Evaluate and keep the weights of ``checkpoints/<name>.npz`` from now on; for the end of a run."""


class Callback(ABC):
    """An action beside training that is called at the events of a run."""

    kind: ClassVar[str] = "callback"
    name: ClassVar[str]
    only_shows: ClassVar[bool] = False
    """Whether the callback only draws or prints. An error in it is then printed and does not end the run."""

    def check(self, run: Run) -> None:
        """Before anything is recorded: raise ``UsageError`` if the callback cannot work in this run."""

    def on_start(self, run: Run) -> None:
        """Before the first step of a new or continued run."""

    def on_window(self, run: Run) -> None:
        """After every window of ``log_every`` steps."""

    def on_epoch(self, run: Run) -> None:
        """After every epoch and its validation."""

    def on_end(self, run: Run) -> None:
        """After the last step."""

    def on_failure(self, run: Run, error: BaseException) -> None:
        """When an error or an interruption ends the run."""

    def state(self) -> dict[str, Any]:
        """The state that the callback needs after a restart, as plain values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what ``state()`` returned."""
