"""The data set ``npy``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mlpframe.api import Array, DataContext, Dataset, Preparation, Splits, Table, UsageError, register


@register("npy")
class Npy(Dataset):
    """Your own arrays in .npy files; the inputs are mapped, so they may be larger than the memory.

    Inputs (rows, features) of the run's dtype. Targets of an integer type (rows,) are class numbers from
    0, others (rows,) or (rows, outputs) are values. Rows of a mapped file are shuffled in blocks.

    Options:
        x: file of the inputs, absolute or in data_dir.
        y: file of the targets.
        test_x: file of the inputs of a test part; null: none.
        test_y: file of its targets.
    """

    shared = Preparation(validation=0.1, test=0, split="last")

    def __init__(self, *, x: str, y: str, test_x: str | None = None, test_y: str | None = None) -> None:
        if (test_x is None) != (test_y is None):
            raise ValueError("test_x and test_y belong together")
        self.x, self.y, self.test_x, self.test_y = x, y, test_x, test_y

    def load(self, context: DataContext) -> Splits:
        train = self._table(context.data_dir, self.x, self.y)
        test = None
        if self.test_x is not None and self.test_y is not None:
            test = self._table(context.data_dir, self.test_x, self.test_y)
        if train.y.ndim == 2:
            return Splits(train, test=test)
        top = max(int(table.y.max()) for table in (train, test) if table is not None)
        return Splits(train, test=test, class_names=tuple(map(str, range(top + 1))))

    @staticmethod
    def _table(folder: Path, x: str, y: str) -> Table:
        inputs, targets = _open(folder / x, mapped=True), _open(folder / y, mapped=False)
        if inputs.ndim != 2 or not inputs.flags.c_contiguous:
            raise UsageError(f"{folder / x}: expected rows of features in C order, not shape {inputs.shape}")
        if targets.dtype.kind not in "iu" and targets.ndim == 1:
            targets = targets[:, None]
        return Table(inputs, targets)


def _open(file: Path, *, mapped: bool) -> Array:
    try:
        return np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise UsageError(f"{file} cannot be read as .npy: {reason}") from error
