"""A whole model as one ONNX file: the table's columns in, predictions in the user's words out.

The encoder is part of the graph. It computes in float64, as in mlpframe, and the network in its own type.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..api import UsageError
from .data.table import Encoder, Scaling, Target
from .data.table.columns import DAY, MISSING, Category, Column, Date, LeftOut
from .data.table.encoder import CLIP, TRUTH
from .onnx import OnnxGraph, add_network, other_than
from .predictor import Predictor

if TYPE_CHECKING:
    import onnx

NO_DATE = np.iinfo(np.int64).min
"""The integer that stands for a missing date in NumPy and pandas."""


def write_onnx(predictor: Predictor, path: Path) -> None:
    """Write a model as an ONNX file. The file is written whole or not at all.

    Raises:
        UsageError: a layer or the loss does not say its nodes, or the file cannot be written.
    """
    content = whole_model(predictor).SerializeToString()
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def whole_model(predictor: Predictor) -> onnx.ModelProto:
    """A model with its encoder as an ONNX graph; the number of rows is free.

    A model of a table has an input ``(rows, 1)`` for each column, with the column's name: float64 for numbers
    (NaN is a missing value), text for categories (the empty text is a missing value, unless it was a category
    in training), and int64 for dates, in seconds since 1970, universal time (−2⁶³ is a missing date). A model
    of an array has the input ``x``, ``(rows, features)``, in float64.

    The outputs are ``label`` ``(rows, 1)`` and ``probabilities`` ``(rows, classes)`` for a classification,
    ``labels`` (0 or 1) and ``probabilities`` for multilabel, and ``prediction`` ``(rows, targets)`` for a
    regression, in the target's unit. If the loss makes scores that are not probabilities, they are called
    ``scores``. An output whose name is the name of a column gets ``_`` at its end. The model's metadata
    ``classes`` and ``targets`` are JSON lists of the names in the order of the outputs.

    Raises:
        UsageError: a layer or the loss does not say its nodes.
    """
    encoder, network, task = predictor.encoder, predictor.network, predictor.shapes.task
    columns = [column for column in encoder.columns or () if not isinstance(column, LeftOut)]
    inputs = [column.name for column in columns] or ["x"]
    values = "scores" if predictor.predicts_scores else "probabilities"
    if task == "regression":
        values = "prediction"
    outputs = [other_than(inputs, name) for name in ("label", "labels", values)]

    graph = OnnxGraph(np.float64, names=[*inputs, *outputs])
    dtype = network.dtype
    x = _table(graph, encoder, columns, dtype) if columns else _array(graph, encoder, network.n_in, dtype)
    graph.dtype = dtype
    prediction = add_network(graph, network, x)
    graph.dtype = np.dtype(np.float64)
    target = encoder.target
    if target.scale is not None and target.shift is not None:
        prediction = graph.node("Cast", prediction, to=np.float64)
        prediction = graph.node("Add", graph.node("Mul", prediction, target.scale), target.shift)
        dtype = np.dtype(np.float64)

    label, labels, values = outputs
    if task == "classification":
        _add_label(graph, target, prediction, label)
    elif task == "multilabel":
        chosen = graph.node("Greater", prediction, np.array(0.5, dtype))
        graph.output(labels, graph.node("Cast", chosen, to=np.int64), network.widths[-1], np.int64)
    graph.output(values, prediction, network.widths[-1], dtype)
    return graph.model({"classes": json.dumps(target.class_names), "targets": json.dumps(target.names)})


def _add_label(graph: OnnxGraph, target: Target, prediction: str, name: str) -> None:
    """Add the output with the label of each row's most probable class."""
    number = graph.node("ArgMax", prediction, axis=1, keepdims=1)
    if target.class_names == TRUTH:
        graph.output(name, graph.node("Cast", number, to=np.bool_), 1, np.bool_)
        return
    classes = list(target.class_names)
    dtype, labels = (np.int64, [*map(int, classes)]) if target.integer else (object, classes)
    key = "values_int64s" if target.integer else "values_strings"
    numbers = {"keys_int64s": [*range(len(classes))], key: labels}
    graph.output(name, graph.node("LabelEncoder", number, domain="ai.onnx.ml", **numbers), 1, dtype)


# inputs -----------------------------------------------------------------------------------------


def _array(graph: OnnxGraph, encoder: Encoder, n_in: int, dtype: np.dtype[Any]) -> str:
    """The network's inputs for an array of raw inputs."""
    scaling, indicators = encoder.scaling, encoder.indicators
    raw = graph.input("x", n_in - len(indicators))
    blocks = [_scaled(graph, scaling, raw, slice(None))]
    if indicators:
        chosen = graph.node("Gather", raw, np.array(indicators), axis=1)
        blocks.append(_is_missing(graph, chosen))
    return graph.node("Cast", _joined(graph, blocks), to=dtype)


def _table(graph: OnnxGraph, encoder: Encoder, columns: Sequence[Column], dtype: np.dtype[Any]) -> str:
    """The network's inputs for the columns of a table."""
    raw = [feature for column in columns for feature in _features(graph, column)]
    widths = encoder.widths
    blocks: list[str] = []
    for is_one_hot, group in groupby(range(len(raw)), key=lambda position: widths[position] > 0):
        positions = list(group)
        if is_one_hot:
            blocks += [_one_hot(graph, raw[position], widths[position]) for position in positions]
        else:
            numbers = _joined(graph, [raw[position] for position in positions])
            blocks.append(_scaled(graph, encoder.scaling, numbers, slice(positions[0], positions[-1] + 1)))
    blocks += [_is_missing(graph, raw[position]) for position in encoder.indicators]
    return graph.node("Cast", _joined(graph, blocks), to=dtype)


def _features(graph: OnnxGraph, column: Column) -> list[str]:
    """The raw numbers of a column's features, each ``(rows, 1)``, as ``Encoder.raw`` has them."""
    match column:
        case Category():
            text = graph.input(column.name, 1, object)
            values = {name: position for position, name in enumerate(column.values)}
            keys = values if MISSING not in values else {"": values[MISSING], **values}
            code = graph.node(
                "LabelEncoder",
                text,
                domain="ai.onnx.ml",
                keys_strings=list(keys),
                values_int64s=list(keys.values()),
                default_int64=len(values),
            )
            return [graph.node("Cast", code, to=np.float64)]
        case Date():
            return _date(graph, column)
        case _:
            return [graph.input(column.name, 1)]


def _date(graph: OnnxGraph, column: Date) -> list[str]:
    """The parts of a date, as ``Date.read`` computes them.

    Year and month follow from the number of days as in Howard Hinnant's "chrono-Compatible Low-Level Date
    Algorithms" (2013): his years begin on March 1, and 400 years have 146,097 days.
    """

    def of(operator: str, *values: str | int) -> str:
        return graph.node(operator, *(v if isinstance(v, str) else np.array(v, np.int64) for v in values))

    given = graph.input(column.name, 1, np.int64)
    is_missing = of("Equal", given, NO_DATE)
    seconds = of("Where", is_missing, 0, given)
    of_day = of("Mod", seconds, DAY)  # Mod is never negative here, and Div would round toward zero
    days = of("Div", of("Sub", seconds, of_day), DAY)

    shifted = of("Add", days, 719_468)  # days since March 1 of the year 0
    of_era = of("Mod", shifted, 146_097)
    era = of("Div", of("Sub", shifted, of_era), 146_097)
    no_leap = of("Sub", of("Div", of_era, 36_524), of("Div", of_era, 146_096))  # centuries without a leap day
    year_of_era = of("Div", of("Add", of("Sub", of_era, of("Div", of_era, 1460)), no_leap), 365)
    leap_days = of("Sub", of("Div", year_of_era, 4), of("Div", year_of_era, 100))
    of_year = of("Sub", of_era, of("Add", of("Mul", year_of_era, 365), leap_days))
    month_from_march = of("Div", of("Add", of("Mul", of_year, 5), 2), 153)
    month = of("Mod", of("Add", month_from_march, 2), 12)  # January is 0
    year = of("Add", of("Add", of("Mul", era, 400), year_of_era), of("Div", month_from_march, 10))

    numbers: dict[str, tuple[str, float]] = {
        "year": (year, 1.0),
        "month": (month, 1.0),
        "weekday": (of("Mod", of("Add", days, 3), 7), 1.0),  # 1970 began on a Thursday
        "hour": (of_day, 3600.0),
        "days": (of("Sub", seconds, int(column.first)), float(DAY)),
    }
    features = []
    for part, feature in zip(column.parts, column.features, strict=True):
        integer, unit = numbers[part]
        number = graph.node("Div", graph.node("Cast", integer, to=np.float64), unit)
        absent = np.nan if feature.categories is None else float(len(feature.categories))
        features.append(graph.node("Where", is_missing, absent, number))
    return features


def _scaled(graph: OnnxGraph, scaling: Scaling, raw: str, part: slice) -> str:
    """Raw numbers ``(rows, features)`` filled in and scaled, as ``Scaling`` does it.

    Args:
        part: which of the scaling's features these are.
    """
    x = raw
    if scaling.fill is not None:
        x = graph.node("Where", graph.node("IsNaN", x), scaling.fill[part], x)
    if scaling.shift is not None and scaling.scale is not None:
        x = graph.node("Div", graph.node("Sub", x, scaling.shift[part]), scaling.scale[part])
    if scaling.clip is not None:
        thirds = graph.node("Div", x, CLIP)
        root = graph.node("Sqrt", graph.node("Add", graph.node("Mul", thirds, thirds), 1.0))
        x = graph.node("Where", scaling.clip[part], graph.node("Div", x, root), x)
    return x


def _one_hot(graph: OnnxGraph, code: str, width: int) -> str:
    return graph.node("Cast", graph.node("Equal", code, np.arange(width, dtype=np.float64)), to=np.float64)


def _is_missing(graph: OnnxGraph, raw: str) -> str:
    return graph.node("Cast", graph.node("IsNaN", raw), to=np.float64)


def _joined(graph: OnnxGraph, blocks: Sequence[str]) -> str:
    return graph.node("Concat", *blocks, axis=1) if len(blocks) > 1 else blocks[0]
