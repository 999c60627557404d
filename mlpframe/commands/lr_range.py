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
"""Updates between two looks at whether the loss has risen too far."""


@click.command("lr-range")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--from", "start", default=1e-5, show_default=True, help="The first rate.")
@click.option("--to", "end", default=10.0, show_default=True, help="The last rate.")
@click.option("--steps", type=click.IntRange(2), default=400, show_default=True, help="Updates in between.")
@click.option(
    "--smoothing",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.95,
    show_default=True,
    help="What the mean of the losses keeps of itself at each update.",
)
@click.option(
    "--stop",
    type=click.FloatRange(1, min_open=True),
    default=4.0,
    show_default=True,
    help="Stop where the mean is more than so many times its lowest.",
)
@click.option("--out", type=Path, default=None, help="Where to write; otherwise outputs/lr_range/<time>.")
def lr_range(
    overrides: Sequence[str],
    start: float,
    end: float,
    steps: int,
    smoothing: float,
    stop: float,
    out: Path | None,
) -> int:
    """Find a learning rate: train while it grows by the same ratio at each update, and watch the loss.

    KEY=VALUE are settings as for training. Those that say how long and at which rate (lr, schedule, epochs),
    metrics, callbacks and tracking play no part; nothing is recorded in MLflow.

    Two rates are suggested: where the smoothed loss falls most steeply over the logarithm of the rate, and a
    tenth of the rate where it is lowest. The smoothed loss is an exponential mean, corrected for its
    beginning: it is behind the losses, so the rates are on the high side with few updates.

    Source: Smith 2017, "Cyclical learning rates for training neural networks".
    """
    if not 0 < start < end < inf:
        raise UsageError(f"--from {start:g} --to {end:g}: expected 0 < from < to")
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
    """From one rate to another by the same ratio at each update; the rate itself is 1.

    factor = start · (end / start)^(step / (steps − 1))
    """

    name = "growing"

    def __init__(self, start: float, end: float, steps: int) -> None:
        self.start, self.end, self.steps = start, end, steps

    def factor(self, step: int, total_steps: int) -> float:
        return float(self.start * (self.end / self.start) ** (step / (self.steps - 1)))


@dataclass
class Curve:
    """The loss over the rate.

    Args:
        smoothing: β of the exponential mean, mₙ ← β mₙ₋₁ + (1 − β) lossₙ, shown as mₙ / (1 − βⁿ).
        stop: the loss has risen too far where the mean is more than so many times its lowest.
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
        """Take down the loss of an update; sets ``stopped`` where it is to be the last one."""
        if not isfinite(loss):
            self.stopped = f"the loss became {loss} at lr {rate:.3g}"
            return
        self._mean = self.smoothing * self._mean + (1 - self.smoothing) * loss
        mean = self._mean / (1 - self.smoothing ** (len(self.losses) + 1))
        self.rates.append(rate)
        self.losses.append(loss)
        self.means.append(mean)
        self._lowest = min(self._lowest, mean)
        if mean - self._lowest > (self.stop - 1) * abs(self._lowest):  # losses may be below 0
            self.stopped = f"the loss was more than {self.stop:g} times its lowest at lr {rate:.3g}"

    @property
    def lowest(self) -> int:
        """The number of the update with the lowest mean."""
        return self.means.index(self._lowest)

    def suggest(self) -> dict[str, float]:
        """Rates by what makes them good ones; none if the loss has not fallen.

        A mean's slope from one update to the next is as noisy as the losses. So it is taken over as many
        updates as the mean is made of, and not where it is made of fewer.
        """
        window = round(1 / (1 - self.smoothing))
        half = max(window // 2, 1)
        places = range(window + half, self.lowest - half + 1)
        falls = {place: self.means[place - half] - self.means[place + half] for place in places}
        steepest = max(falls, key=falls.__getitem__, default=0)  # the rates' logarithms are equally far apart
        if not falls or falls[steepest] <= 0:
            return {}
        suggested = {"where the loss falls most steeply": self.rates[steepest]}
        tenth = self.rates[self.lowest] / 10
        if tenth >= self.rates[0]:
            suggested["a tenth of where it is lowest"] = tenth
        return suggested

    def notes(self, suggested: dict[str, float]) -> list[str]:
        """What has to be known to judge the suggestions."""
        notes = [f"stopped: {self.stopped}"] if self.stopped else []
        if not suggested:
            notes.append(
                "no rate is suggested, as the loss has not fallen: try a smaller --from or more --steps"
            )
        elif self.lowest == len(self.means) - 1:
            notes.append("the loss was lowest at the end: try a larger --to")
        return notes

    def write_csv(self, file: Path) -> None:
        with file.open("w", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerow(["step", "lr", "loss", "smoothed"])
            writer.writerows(
                zip(range(1, len(self.rates) + 1), self.rates, self.losses, self.means, strict=True)
            )


def _measure(overrides: Sequence[str], growth: Growth, curve: Curve, folder: Path) -> tuple[Curve, str]:
    """Build the experiment as it would be trained, and train it at growing rates; also says what it is."""
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
        raise UsageError(f"resume={root.resume}: the range test begins with new weights")
    root = replace(
        root,
        lr=1.0,
        epochs=growth.steps,  # an epoch has an update at least
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
                curve.stopped = str(error)
                return
