"""The dataset ``npz``."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpframe.api import DataContext, Dataset, Preparation, Splits, UsageError, nearest, register

from ._arrays import as_splits, check_task
from ._files import find_file, open_numpy


@register("npz")
class Npz(Dataset):
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
        arrays = open_numpy(path)
        if isinstance(arrays, np.ndarray):
            raise UsageError(
                f"{path} is a single array, not a .npz file; the dataset npy reads single arrays"
            )

        def read(option: str) -> Any:
            name = getattr(self, option)
            if name not in arrays.files:
                raise UsageError(
                    f"dataset.{option}={name}: {path} has no array {name!r}; {nearest(name, arrays.files)}"
                )
            try:
                return arrays[name]
            except ValueError as error:  # NumPy refuses to unpickle the array
                raise UsageError(f"{path}: the array {name!r} cannot be read: {error}") from error

        with arrays:
            return as_splits(
                (read("x"), read("y")),
                (read("test_x"), read("test_y")) if self.test_x is not None else None,
                read("weights") if self.weights is not None else None,
                task=self.task,
            )
