"""The dataset ``npz``."""

from __future__ import annotations

from typing import Any

from mlpframe.api import (
    DataContext,
    Dataset,
    Npz,
    Preparation,
    Splits,
    UsageError,
    is_npz,
    nearest,
    register,
)

from ._arrays import as_splits, check_task
from ._files import find_file


@register("npz")
class NpzDataset(Dataset):
    """Your own arrays in one .npz file, which is read into memory.

    Inputs are (rows, features), or images (rows, height, width). Targets (rows,) of whole numbers, truth
    values or texts are classes, named by their sorted values. Targets (rows, classes) of whole numbers or
    truth values, with at least 2 classes, are multilabel: 1 for each class that the row has, else 0.
    Floating-point targets, (rows,) or (rows, outputs), are the values of a regression. NaN in an input is a
    missing value. For inputs larger than memory, use the dataset npy.

    Options:
        file: path of the file; a relative path is looked up in the working directory, then in data_dir.
        x: name of the inputs in the file.
        y: name of the targets.
        weights: name of the training rows' weights (rows,), at least 0; null: all rows count the same.
        test_x: name of the inputs of a test part; null: none.
        test_y: name of the targets of the test part.
        task: classification, multilabel or regression; auto: the type and shape of the targets decide.
    """

    own = True
    shared = Preparation(validation=0.2, test=0, split="stratified")

    def __init__(
        self,
        *,
        file: str,
        x: str = "x",
        y: str = "y",
        weights: str | None = None,
        test_x: str | None = None,
        test_y: str | None = None,
        task: str = "auto",
    ) -> None:
        check_task(task)
        self.task = task
        if (test_x is None) != (test_y is None):
            raise ValueError("test_x and test_y must be given together")
        self.file, self.x, self.y, self.weights, self.test_x, self.test_y = (
            file,
            x,
            y,
            weights,
            test_x,
            test_y,
        )

    def load(self, context: DataContext) -> Splits:
        path = find_file(context, "file", self.file)
        if not is_npz(path):
            raise UsageError(f"{path} is not a .npz file; the dataset npy reads single arrays")
        with Npz(path) as arrays:

            def read(option: str) -> Any:
                name = getattr(self, option)
                if name not in arrays.names:
                    raise UsageError(
                        f"dataset.{option}={name}: {path} has no array {name!r}; "
                        f"{nearest(name, arrays.names)}"
                    )
                return arrays[name]

            return as_splits(
                (read("x"), read("y")),
                (read("test_x"), read("test_y")) if self.test_x is not None else None,
                read("weights") if self.weights is not None else None,
                task=self.task,
            )
