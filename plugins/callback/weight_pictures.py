"""The callback ``weight_pictures``."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np

from mlpframe.api import Array, Callback, Run, UsageError, check_range, register

from ._figures import due, plain_text, save


@register("weight_pictures")
class WeightPictures(Callback):
    """Draws the weights of the first layer as images, one for each unit.

    ``figures/weights.png`` after the run, and ``figures/weights_epoch_<n>.png`` every so many epochs

    Positive weights are red, negative weights are blue, and 0 is white. The strongest color stands for the
    largest absolute weight in the picture. The data set must have images.

    Options:
        every: draw also after every so many epochs; 0: only after the run.
        units: the largest number of units to draw, at least 1; the first units of the layer are drawn.
    """

    only_shows = True

    def __init__(self, *, every: int = 0, units: int = 100) -> None:
        check_range("every", every, minimum=0)
        check_range("units", units, minimum=1)
        self.every, self.units = every, units

    def check(self, run: Run) -> None:
        if run.splits.image_shape is None:
            raise UsageError(
                "callbacks.weight_pictures needs images, but the rows of this data set are not images"
            )
        if _first_weights(run) is None:
            raise UsageError("callbacks.weight_pictures: no layer of this model has a weight for every pixel")

    def on_epoch(self, run: Run) -> None:
        if due(self.every, run):
            self._draw(run, at_end=False)

    def on_end(self, run: Run) -> None:
        self._draw(run, at_end=True)

    @plain_text
    def _draw(self, run: Run, *, at_end: bool) -> None:
        from matplotlib.figure import Figure  # imported late: only pictures need it

        weights, shape = _first_weights(run), run.splits.image_shape
        assert weights is not None
        assert shape is not None
        picture = tiles(weights[:, : self.units].T.reshape(-1, *shape))
        height, width = picture.shape
        figure = Figure(figsize=(8, max(1.0, 7.2 * height / width) + 0.6), layout="constrained")
        axes = figure.subplots()
        largest = float(np.nanmax(np.abs(picture))) or 1.0
        image = axes.imshow(picture, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(f"Weights of the first layer after {run.epoch} epochs")
        figure.colorbar(image, ax=axes, shrink=0.6)
        save(figure, run, "weights", at_end=at_end)


def tiles(images: Array) -> Array:
    """Arrange images ``(n, height, width)`` in a grid as square as possible, with gaps of NaN."""
    n, height, width = images.shape
    columns = ceil(sqrt(n))
    rows = ceil(n / columns)
    picture = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + 1), (i % columns) * (width + 1)
        picture[top : top + height, left : left + width] = image
    return picture


def _first_weights(run: Run) -> Array | None:
    """The first parameter of the network that has the shape ``(pixels, units)``; ``None``: there is none."""
    pixels = run.train.x.shape[1]
    matrices = (p for p in run.parameters().values() if p.ndim == 2 and p.shape[0] == pixels)
    return next(matrices, None)
