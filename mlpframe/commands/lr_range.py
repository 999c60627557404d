"""``mlpframe lr-range``: the learning rate range test."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..api import Schedule, UsageError
from ..outputs import OUTPUTS

if TYPE_CHECKING:
    from ..training.trainer import Trainer

LOOK_EVERY = 10
"""After every so many updates, the test checks whether the loss has risen too far."""


@click.command("lr-range")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--from", "start", default=1e-5, show_default=True, help="The first learning rate.")
@click.option("--to", "end", default=10.0, show_default=True, help="The last learning rate.")
@click.option("--steps", type=click.IntRange(2), default=400, show_default=True, help="Number of updates.")
@click.option(
    "--smoothing",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.95,
    show_default=True,
    help="Factor β of the smoothed loss: β · smoothed loss + (1 − β) · loss.",
)
@click.option(
    "--stop",
    type=click.FloatRange(1, min_open=True),
    default=4.0,
    show_default=True,
    help="Stop when the smoothed loss exceeds its lowest value times this factor.",
)
@click.option("--out", type=Path, default=None, help="Folder to write to; default: outputs/lr_range/<time>.")
def lr_range(
    overrides: Sequence[str],
    start: float,
    end: float,
    steps: int,
    smoothing: float,
    stop: float,
    out: Path | None,
) -> int:
    """Find a learning rate: multiply the rate by the same ratio at each update, and watch the loss.

    KEY=VALUE are settings as for training. The test ignores lr, schedule, epochs, metrics, callbacks and
    tracking, and records nothing in MLflow.

    The command suggests two rates. At the first rate, the smoothed loss falls most steeply over the logarithm
    of the rate. The second is a tenth of the rate with the lowest smoothed loss. The smoothed loss is an
    exponential moving average with bias correction. The average lags behind the losses, so with few updates
    the suggested rates are too high.

    Source: Smith 2017, "Cyclical learning rates for training neural networks".
    """
    if not 0 < start < end < inf:
        raise UsageError(f"--from {start:g} --to {end:g}: expected 0 < --from < --to < infinity")
    from ..figures.lr_range import draw_lr_range

    folder = out or OUTPUTS / "lr_range" / datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")
    growth = Growth(start, end, steps)
    curve, title = _measure(overrides, growth, Curve(smoothing, stop), folder)
    if not curve.losses:
        click.echo(f"{title}: {curve.stopped}", err=True)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    curve.write_csv(folder / "lr_range.csv")
    suggested = curve.suggest()
    draw_lr_range(curve.rates, curve.losses, curve.means, suggested, title, folder / "lr_range.png")
    click.echo(
        f"{title}: {len(curve.rates)} of {steps} updates, lr {curve.rates[0]:.3g} to {curve.rates[-1]:.3g}"
    )
    for note in curve.notes(suggested):
        click.echo(note)
    for words, rate in suggested.items():
        click.echo(f"lr={rate:.2g}".ljust(12) + words)
    click.echo(f"files   {os.path.relpath(folder)}")
    return 0


class Growth(Schedule):
    """The learning rate grows from ``start`` to ``end`` by the same ratio at each update.

    The run's lr is 1, so the factor of the schedule is the learning rate itself.

    factor = start · (end / start)^(step / (steps − 1))
    """

    name = "growing"

    def __init__(self, start: float, end: float, steps: int) -> None:
        self.start, self.end, self.steps = start, end, steps

    def factor(self, step: int, total_steps: int) -> float:
        return float(self.start * (self.end / self.start) ** (step / (self.steps - 1)))


@dataclass
class Curve:
    """The loss as a function of the learning rate.

    Args:
        smoothing: β of the exponential mean, mₙ ← β mₙ₋₁ + (1 − β) lossₙ, shown as mₙ / (1 − βⁿ).
        stop: the test stops when the mean is more than ``stop`` times its lowest value.
    """

    smoothing: float
    stop: float
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    means: list[float] = field(default_factory=list)
    stopped: str | None = None
    _mean: float = 0.0
    _lowest: float = inf

    def add(self, rate: float, loss: float) -> None:
        """Record the loss of one update. Sets ``stopped`` if the test must stop."""
        if not isfinite(loss):
            self.stopped = f"the loss became {loss} at lr {rate:.3g}"
            return
        self._mean = self.smoothing * self._mean + (1 - self.smoothing) * loss
        mean = self._mean / (1 - self.smoothing ** (len(self.losses) + 1))
        self.rates.append(rate)
        self.losses.append(loss)
        self.means.append(mean)
        self._lowest = min(self._lowest, mean)
        if mean - self._lowest > (self.stop - 1) * abs(self._lowest):  # as a difference, for negative losses
            self.stopped = (
                f"the smoothed loss was more than {self.stop:g} times its lowest value at lr {rate:.3g}"
            )

    @property
    def lowest(self) -> int:
        """The number of the update with the lowest mean."""
        return self.means.index(self._lowest)

    def suggest(self) -> dict[str, float]:
        """The suggested rates, each under the reason for it; empty if the loss has not fallen.

        The slope of the smoothed loss from one update to the next is as noisy as the losses. So the slope is
        taken over 1 / (1 − β) updates, the number of losses that the smoothed loss averages. The first
        updates are left out, because their smoothed losses average fewer losses.
        """
        window = round(1 / (1 - self.smoothing))
        half = max(window // 2, 1)
        places = range(window + half, self.lowest - half + 1)
        falls = {place: self.means[place - half] - self.means[place + half] for place in places}
        steepest = max(falls, key=falls.__getitem__, default=0)  # log rates are equally spaced
        if not falls or falls[steepest] <= 0:
            return {}
        suggested = {"where the smoothed loss falls most steeply": self.rates[steepest]}
        tenth = self.rates[self.lowest] / 10
        if tenth >= self.rates[0]:
            suggested["a tenth of the rate with the lowest smoothed loss"] = tenth
        return suggested

    def notes(self, suggested: dict[str, float]) -> list[str]:
        """Notes that help to judge the suggested rates."""
        notes = [f"stopped: {self.stopped}"] if self.stopped else []
        if not suggested:
            notes.append(
                "no rate is suggested because the loss has not fallen: try a smaller --from or more --steps"
            )
        elif self.lowest == len(self.means) - 1:
            notes.append("the smoothed loss was lowest at the end: try a larger --to")
        return notes

    def write_csv(self, file: Path) -> None:
        with file.open("w", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerow(["step", "lr", "loss", "smoothed"])
            writer.writerows(
                zip(range(1, len(self.rates) + 1), self.rates, self.losses, self.means, strict=True)
            )


def _measure(overrides: Sequence[str], growth: Growth, curve: Curve, folder: Path) -> tuple[Curve, str]:
    """Build the experiment as for training, and train at growing rates. Returns the curve and its title."""
    import numpy as np

    from ..config import read_root
    from ..runs.build import blas_threads, build_trainer
    from ..runs.compose import compose
    from ..runs.folder import RunFolder
    from ..runs.request import Request
    from ..tracking.client import NoTracker

    config = compose(overrides)
    root = read_root(config)
    if root.resume:
        raise UsageError(f"resume={root.resume}: the range test starts from new weights; leave out resume=")
    root = replace(
        root,
        lr=1.0,
        epochs=growth.steps,  # enough, because an epoch has at least one update
        log_every=LOOK_EVERY,
        metrics={},
        callbacks={},
        tracking={"name": "none"},
    )
    with blas_threads(root.threads, 1) as threads, np.errstate(all="ignore"):
        request = Request(config, overrides, RunFolder(folder))
        trainer = build_trainer(root, request, threads, tracker=NoTracker(), schedule=growth, validate=False)
        _train(trainer, growth.steps, curve)
    return curve, " ".join([trainer.data.name, root.optimizer["name"], *overrides])


def _train(trainer: Trainer, steps: int, curve: Curve) -> None:
    from ..training.trainer import Diverged

    with closing(trainer.run()) as run:
        block = next(run)
        while True:
            began = time.perf_counter()
            (losses,) = trainer.engine.advance([block])
            seconds = time.perf_counter() - began
            for rate, loss in zip(block.lrs, losses.values, strict=True):
                curve.add(rate, loss)
                if curve.stopped or len(curve.losses) == steps:
                    return
            try:
                block = run.send((losses, seconds))
            except Diverged as error:
                curve.stopped = error.what
                return
