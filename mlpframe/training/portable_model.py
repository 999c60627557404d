"""A model that mlpframe has trained, as a file that needs only NumPy. Its weights are in weights.npz.

    python model.py table.csv > predictions.csv

or, in Python 3.11 or newer, ``Model().table({"size": [3.5], "color": ["red"]})``: the predictions by name.
Columns are found by their names. An empty field, None and NaN are missing values. Dates are text, as in the
training table, or datetime objects.
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

MISSING = {"", "#N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "NaN", "NaT", "None", "n/a", "nan", "-nan", "null"}


def network(x: Any, w: Mapping[str, Any]) -> Any:
    """Predict for inputs x (rows, inputs): run the layers, and turn their outputs into predictions."""
    return w[x]


class Model:
    """The model: ``predict`` returns an array of predictions, ``table`` returns named columns with labels."""

    def __init__(self, weights: Path | None = None) -> None:
        with np.load(weights or Path(__file__).with_name("weights.npz")) as file:
            self.w = dict(file)
        self.about = json.loads(str(self.w.pop("about")))

    def table(self, columns: Any) -> dict[str, list[Any]]:
        """Predictions by name: labels and a probability for each class, or values in the target's unit."""
        prediction, task, classes = self.predict(columns), self.about["task"], self.about["classes"]
        labels: list[list[Any]] = []
        if task == "classification":
            labels = [[classes[number] for number in prediction.argmax(1)]]
        elif task == "multilabel":
            labels = (prediction.T > 0.5).astype(int).tolist()
        return dict(zip(self.about["outputs"], [*labels, *prediction.T.tolist()], strict=True))

    def predict(self, columns: Any) -> Any:
        """Class probabilities or values (rows, outputs), for columns by name or an array (rows, features)."""
        prediction = network(self.inputs(columns).astype(self.about["dtype"]), self.w)
        scale = self.w.get("target/scale")
        return prediction if scale is None else prediction * scale + self.w["target/shift"]

    def inputs(self, columns: Any) -> Any:
        """The network's inputs: missing values filled in, numbers scaled, categories as 0 and 1 or codes."""
        w, raw = self.w, self.raw(columns)
        fill, scale, clip = w.get("input/fill"), w.get("input/scale"), w.get("input/clip")
        x = raw if fill is None else np.where(np.isnan(raw), fill, raw)
        x = x if scale is None else (x - w["input/shift"]) / scale
        x = x if clip is None else np.where(clip, x / np.sqrt(1 + (x / 3) ** 2), x)
        found = []
        for position, width in enumerate(self.about["widths"]):  # width 0: the input is a number
            found += [raw[:, position] == code for code in range(width)] if width else [x[:, position]]
        return np.column_stack(found + [np.isnan(raw[:, position]) for position in self.about["indicators"]])

    def raw(self, columns: Any) -> Any:
        """The numbers of the columns: parts of dates, positions of categories, NaN for missing values."""
        known = self.about["columns"]
        if not isinstance(columns, Mapping):
            if any(about["kind"] != "number" for about in known):
                raise ValueError(
                    f"expected the columns {', '.join(about['name'] for about in known)} by name"
                )
            return np.asarray(columns)
        known = known or [{"kind": "number", "name": name} for name in columns]
        blocks = []
        for about in known:
            name, kind = about["name"], about["kind"]
            if name not in columns:
                raise ValueError(f"the table has no column {name}; it has {', '.join(columns)}")
            try:
                blocks.append(getattr(self, kind)(about, list(columns[name])))
            except (ValueError, TypeError) as error:
                raise ValueError(f"the column {name} must hold a {kind} in every row: {error}") from error
        return np.column_stack(blocks)

    def number(self, about: Mapping[str, Any], values: Sequence[Any]) -> Any:
        return np.array([math.nan if missing(value) else self.to_number(value) for value in values], float)

    def to_number(self, value: Any) -> float:
        if not isinstance(value, str) or value.strip().lower() in ("true", "false"):
            return float(value) if not isinstance(value, str) else float(value.strip().lower() == "true")
        decimal, thousands = self.about["decimal"], self.about["thousands"]
        # a comma separates thousands if commas also separate the columns, else a comma is the decimal point
        if decimal is None and thousands is None and "," in value:
            decimal, thousands = (".", ",") if self.about["separator"] == "," else (",", ".")
        return float(value.replace(thousands or "", "").replace(decimal or ".", "."))

    def category(self, about: Mapping[str, Any], values: Sequence[Any]) -> Any:
        position = {name: number for number, name in enumerate(about["values"])}

        def code(value: Any) -> int:
            name = "missing" if missing(value) else str(value).strip()
            if name not in position:  # a whole number may be written 3.0, and true may be True
                try:
                    name = str(int(float(name))) if float(name).is_integer() else str(float(name))
                except ValueError:
                    name = name.capitalize() if name.lower() in ("true", "false") else name
            return position.get(name, len(position))

        return np.array([code(value) for value in values], float)

    def date(self, about: Mapping[str, Any], values: Sequence[Any]) -> Any:
        seconds = np.array([to_seconds(value, about["format"]) for value in values], float)
        unknown = np.isnan(seconds)
        moments = np.where(unknown, 0, seconds).astype("datetime64[s]")
        days, months = moments.astype("datetime64[D]"), moments.astype("datetime64[M]")
        parts = {
            "year": (moments.astype("datetime64[Y]").astype(int) + 1970, math.nan),
            "month": (months.astype(int) % 12, 12),
            "weekday": ((days.astype(int) + 3) % 7, 7),
            "hour": ((moments - days).astype(int) / 3600, math.nan),
            "days": ((seconds - about["first"]) / 86_400, math.nan),
        }
        return np.column_stack([np.where(unknown, parts[part][1], parts[part][0]) for part in about["parts"]])

    def read_csv(self, path: str) -> dict[str, list[str]]:
        """The columns of a CSV file, by the names in its first line."""
        with open(path, newline="", encoding=self.about["charset"] or "utf-8-sig") as file:
            self.about["separator"] = self.about["separator"] or max(",;\t|", key=file.readline().count)
            file.seek(0)
            lines = csv.reader(file, delimiter=self.about["separator"], skipinitialspace=True)
            names, *rows = [row for row in lines if row]
        return {name: [row[position] for row in rows] for position, name in enumerate(names)}


def missing(value: Any) -> bool:
    return str(value).strip() in MISSING


def to_seconds(value: Any, form: str) -> float:
    """A date in seconds since 1970, universal time."""
    if missing(value):
        return math.nan
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[s]")
    if isinstance(value, str) and form != "ISO8601":
        value = datetime.strptime(value.strip(), form)
    elif not isinstance(value, datetime):
        # 2021-1-5 becomes 2021-01-05
        text = re.sub(r"(?<!\d)(\d)(?!\d)", r"0\1", str(value).strip().replace("/", "-"))
        value = datetime.fromisoformat(f"{text}-01" if len(text) == 7 else text)
    value = value if value.tzinfo else value.replace(tzinfo=UTC)
    return float(math.floor(value.timestamp()))


if __name__ == "__main__":
    model = Model()
    predicted = model.table(model.read_csv(sys.argv[1]))
    csv.writer(sys.stdout, lineterminator="\n").writerows([predicted, *zip(*predicted.values(), strict=True)])
