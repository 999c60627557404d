"""The callback ``decision_boundary``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array, Callback, Run, UsageError, check_range, register

from ._figures import due, plain_text, save

POINTS = 2000
"""The largest number of training rows that are drawn."""
MARGIN = 0.1
"""How far the plane goes beyond the data on each side, as a share of the data's extent."""


@register("decision_boundary")
class DecisionBoundary(Callback):
    """Draws the class that the network predicts at every place of the plane, and the training rows on top.

    ``figures/decision_boundary.png`` after the run, and ``figures/decision_boundary_epoch_<n>.png`` every so
    many epochs

    The data set must be a classification with two features. The axes show the features as the network gets
    them, so after scaling if the data set scales its inputs.

    Options:
        every: draw also after every so many epochs; 0: only after the run.
        resolution: number of places along each side of the plane, at least 2.
    """

    only_shows = True

    def __init__(self, *, every: int = 0, resolution: int = 300) -> None:
        check_range("every", every, minimum=0)
        check_range("resolution", resolution, minimum=2)
        self.every, self.resolution = every, resolution

    def check(self, run: Run) -> None:
        features = run.train.x.shape[1]
        if run.splits.task != "classification" or features != 2:
            raise UsageError(
                f"callbacks.decision_boundary needs a classification with 2 features, not a "
                f"{run.splits.task} with {features}"
            )

    def on_epoch(self, run: Run) -> None:
        if due(self.every, run):
            self._draw(run, at_end=False)

    def on_end(self, run: Run) -> None:
        self._draw(run, at_end=True)

    @plain_text
    def _draw(self, run: Run, *, at_end: bool) -> None:
        from matplotlib import colormaps  # imported late: only pictures need it
        from matplotlib.figure import Figure

        x, y = run.train.x[:POINTS], run.train.y[:POINTS]
        low, high, seen = self.plane(run)
        names = run.splits.class_names
        colors = colormaps["tab10" if len(names) <= 10 else "turbo"].resampled(max(10, len(names)))
        figure = Figure(figsize=(6.4, 5.6), layout="constrained")
        axes = figure.subplots()
        light = 0.35 * colors(seen)[..., :3] + 0.65
        extent = (low[0], high[0], low[1], high[1])
        axes.imshow(light, origin="lower", extent=extent, aspect="auto", interpolation="nearest")
        for i, name in enumerate(names):
            first, second = x[y == i].T
            axes.scatter(first, second, 10, color=colors(i), edgecolors="0.2", linewidths=0.3, label=name)
        labels = run.splits.feature_names or ("feature 0", "feature 1")
        axes.set(title=f"Classes after {run.epoch} epochs", xlabel=labels[0], ylabel=labels[1])
        if len(names) <= 10:
            axes.legend(fontsize="small")
        save(figure, run, "decision_boundary", at_end=at_end)

    def plane(self, run: Run) -> tuple[Array, Array, Array]:
        """The lower and upper corner of the plane, and the class at each place.

        The classes have the shape ``(resolution, resolution)``, with the second feature along the first axis.
        """
        x = run.train.x
        low, high = x.min(0), x.max(0)
        margin = MARGIN * np.where(high > low, high - low, 1)
        low, high = low - margin, high + margin
        # An image draws each place as a square, so the places are the centers of squares.
        steps = (np.arange(self.resolution) + 0.5) / self.resolution
        first, second = (low[i] + steps * (high[i] - low[i]) for i in (0, 1))
        grid = np.stack(np.meshgrid(first, second), -1).reshape(-1, 2).astype(x.dtype)
        return low, high, run.predict(grid).argmax(1).reshape(self.resolution, self.resolution)
