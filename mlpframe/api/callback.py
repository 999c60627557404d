"""What a callback implements, and what a callback can read and change of a run."""

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
    """The names of the metrics that the run records after every epoch."""
    folder: Path
    """The run's folder. MLflow gets the files of the subfolder ``figures/`` at the end of the run."""

    @property
    def splits(self) -> Splits:
        """The data set: its description, and its rows as loaded."""

    @property
    def train(self) -> Table:
        """The prepared (encoded and scaled) training rows, before transforms change them."""

    @property
    def validation(self) -> Table | None:
        """The prepared (encoded and scaled) validation rows; ``None``: the run has no validation part."""

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

        A callback cannot write to these arrays. The next training step changes their values, so copy an array
        whose values you want to keep.
        """

    def gradients(self, rows: int) -> Mapping[str, Array]:
        """The gradient of the mean loss over the first ``rows`` training rows, by parameter.

        The network runs in training mode. Afterwards, the random streams and the layers' state are restored.
        """

    def activations(self, x: Array) -> Mapping[str, Array]:
        """Every layer's outputs ``(n, width)`` by layer name, for the inputs ``x`` ``(n, features)``.

        The network runs in evaluation mode.
        """

    def predict(self, x: Array) -> Array:
        """Predicted class probabilities or values ``(n, n_outputs)`` for inputs ``(n, features)``."""

    def log(self, values: Mapping[str, float]) -> None:
        """Record metrics at the current step."""

    def stop(self, reason: str) -> None:
        """End the run when the current block of batches is finished. The run prints ``reason``."""

    def save(self, name: str) -> None:
        """Save all state of the run as ``checkpoints/<name>.npz`` in the run's folder."""

    def take_weights(self, name: str) -> None:
        """Replace the network's weights by those of ``checkpoints/<name>.npz``, and validate again.

        Call ``take_weights`` in ``on_end``: the run then tests and saves the replaced weights.
        """


class Callback(ABC):
    """An action beside training. A run calls its callbacks at the start, after epochs, and at the end."""

    kind: ClassVar[str] = "callback"
    name: ClassVar[str]
    only_shows: ClassVar[bool] = False
    """Whether the callback only draws or prints. An error in it is then printed and does not end the run."""

    def check(self, run: Run) -> None:
        """Raise ``UsageError`` if the callback cannot work in this run. Called before the run starts."""

    def on_start(self, run: Run) -> None:
        """Called before the first step of a new or continued run."""

    def on_window(self, run: Run) -> None:
        """Called after every window, which is ``log_every`` consecutive steps."""

    def on_epoch(self, run: Run) -> None:
        """Called after every epoch and its validation."""

    def on_end(self, run: Run) -> None:
        """Called after the last step."""

    def on_failure(self, run: Run, error: BaseException) -> None:
        """Called when an error or an interruption ends the run."""

    def state(self) -> dict[str, Any]:
        """The state that the callback needs after a restart, as plain values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what ``state()`` returned."""
