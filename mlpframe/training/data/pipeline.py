"""Apply transforms to training rows, block by block, in a thread that runs in parallel with training."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ...api import Splits, Table, Transform, UsageError
from ..network import one_hot
from ..rng import Streams


class Pipeline:
    """Applies the transforms of a run to one block of training rows after another.

    The random numbers of a block depend only on the seed and on the block's first step. While the network
    trains on one block, a thread prepares the next block.

    Args:
        transforms: the transforms by name, in the order in which they are applied.
        splits: the data set as loaded.
        streams: the run's random streams.

    Raises:
        UsageError: a transform needs images, and the data set has no images.
    """

    def __init__(self, transforms: Mapping[str, Transform], splits: Splits, streams: Streams) -> None:
        self._transforms, self._splits, self._streams = transforms, splits, streams
        for name, transform in transforms.items():
            if transform.needs_images and splits.image_shape is None:
                raise UsageError(
                    f"transforms.{name} needs images, but the rows of this data set are not images"
                )
        self.mixes = splits.task != "regression" and any(t.mixes for t in transforms.values())
        self._pool = ThreadPoolExecutor(1, "transforms")
        self._ahead: tuple[int, Future[Table]] | None = None

    def __bool__(self) -> bool:
        return bool(self._transforms)

    def table(self, table: Table, rows: NDArray[np.intp], step: int) -> Table:
        """The transformed rows of the block that begins at ``step``."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == step:
            return ahead[1].result()
        return self._apply(table, rows, step)

    def prepare(self, table: Table, rows: NDArray[np.intp], step: int) -> None:
        """Start to prepare the next block, which begins at ``step``."""
        self._ahead = step, self._pool.submit(self._apply, table, rows, step)

    def _apply(self, table: Table, rows: NDArray[np.intp], step: int) -> Table:
        block = table.part(rows)  # a copy, which transforms may change
        shape = self._splits.image_shape or (1, table.x.shape[1])
        x, y = block.x.reshape(-1, *shape), block.y
        if self.mixes and y.ndim == 1:
            y = one_hot(y, self._splits.n_outputs)
        for name, transform in self._transforms.items():
            x, y = transform.apply(x, y, self._streams.at(f"transform {name}", step))
        flat = np.ascontiguousarray(x.reshape(len(rows), -1), table.x.dtype)
        y = np.ascontiguousarray(y, table.x.dtype if y.ndim > 1 else np.intp)
        return Table(flat, y, block.weights)
