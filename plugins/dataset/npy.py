"""The dataset ``npy``."""

from __future__ import annotations

from mlpframe.api import DataContext, Dataset, Preparation, Splits, Table, UsageError, read_npy, register

from ._files import find_file

MOST_CLASSES = 1000
"""There are at most as many classes as training rows, or as this number if that is more."""


@register("npy")
class Npy(Dataset):
    """Your own arrays in .npy files; the inputs are memory-mapped, so they may be larger than the memory.

    Inputs are (rows, features), of the run's dtype. Targets of an integer type (rows,) are class numbers from
    0; other targets, (rows,) or (rows, outputs), are the values of a regression. The rows of the mapped file
    are shuffled in blocks of neighboring rows, because reading single rows is slow. A relative path is looked
    up in the working directory, then in data_dir.

    Options:
        x: file of the inputs.
        y: file of the targets.
        weights: file of the training rows' weights (rows,), at least 0; null: all rows count the same.
        test_x: file of the inputs of a test part; null: none.
        test_y: file of the targets of the test part.
    """

    own = True
    shared = Preparation(validation=0.1, test=0, split="last")

    def __init__(
        self,
        *,
        x: str,
        y: str,
        weights: str | None = None,
        test_x: str | None = None,
        test_y: str | None = None,
    ) -> None:
        if (test_x is None) != (test_y is None):
            raise ValueError("test_x and test_y must be given together")
        self.x, self.y, self.weights, self.test_x, self.test_y = x, y, weights, test_x, test_y

    def load(self, context: DataContext) -> Splits:
        train = _table(context, {"x": self.x, "y": self.y, "weights": self.weights})
        test = None
        if self.test_x is not None:
            test = _table(context, {"test_x": self.test_x, "test_y": self.test_y, "weights": None})
        if train.y.ndim == 2:
            return Splits(train, test=test, task_reason="floating-point numbers")
        tables = [table for table in (train, test) if table is not None]
        low, top = min(int(table.y.min()) for table in tables), max(int(table.y.max()) for table in tables)
        most = max(MOST_CLASSES, len(train))
        if low < 0 or top >= most:
            raise UsageError(
                f"{self.y}: the targets are whole numbers from {low:,} to {top:,}; expected class numbers "
                f"from 0 to at most {most - 1:,} for {len(train):,} rows, "
                "or floating-point numbers for a regression"
            )
        return Splits(
            train,
            test=test,
            class_names=tuple(map(str, range(top + 1))),
            integer_classes=True,
            task_reason=f"whole numbers up to {top:,}",
        )


def _table(context: DataContext, files: dict[str, str | None]) -> Table:
    """Open one part of the data set, training or test.

    ``files`` maps the names of three options to the files of the inputs, targets and weights, in this order.
    """
    inputs, targets, weights = (
        None if file is None else find_file(context, option, file) for option, file in files.items()
    )
    assert inputs is not None
    assert targets is not None
    x, y = read_npy(inputs, mapped=True), read_npy(targets)
    if x.dtype.kind not in "biuf" or x.ndim != 2 or not x.flags.c_contiguous or not x.size:
        raise UsageError(f"{inputs}: expected rows of features in C order, not {x.dtype} of shape {x.shape}")
    if y.dtype.kind not in "biuf" or y.ndim not in (1, 2) or len(y) != len(x):
        raise UsageError(
            f"{targets}: expected numbers (rows,) or (rows, outputs) for the {len(x):,} rows of {inputs}, "
            f"not {y.dtype} of shape {y.shape}"
        )
    if y.dtype.kind not in "iu" and y.ndim == 1:
        y = y[:, None]
    return Table(x, y, None if weights is None else read_npy(weights))
