"""Metrics whose values are arrays are drawn as pictures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from mlpframe.figures.run import draw_arrays

PNG = b"\x89PNG"


def test_arrays_of_any_shape_are_drawn(tmp_path: Path) -> None:
    shapes = {"square": (3, 3), "table": (3, 2), "bare": (4, 5), "line": (3,), "cube": (3, 2, 2), "dot": ()}
    arrays = {name: np.ones(shape) for name, shape in shapes.items()}
    arrays["table"][1, 1] = math.nan
    columns = {name: ("low", "high") if name == "table" else () for name in shapes}
    for folder, classes in (("classes", ("a", "b", "c")), ("values", ())):
        draw_arrays(arrays, classes, columns, tmp_path / folder)
        for name in shapes:
            assert (tmp_path / folder / f"{name}.png").read_bytes().startswith(PNG)
