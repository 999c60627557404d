"""Every metric of a run against the number of parameter updates."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import overload

import numpy as np

from ..api import Array, UsageError
from ..files import replacing
from ..registry import UnknownName, nearest


class History:
    """The values of every metric, in the order in which they were added.

    ``history["val/loss"]`` are the values of a metric as an array, so ``history["val/loss"][-5:]`` are the
    last five. ``history[1000:2000]`` is the history of the updates 1000 ≤ step < 2000. Iteration gives the
    names of the metrics.
    """

    def __init__(self) -> None:
        self._series: dict[str, tuple[list[int], list[float]]] = {}
        self.latest: dict[str, float] = {}

    def add(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            steps, numbers = self._series.setdefault(name, ([], []))
            steps.append(step)
            numbers.append(float(value))
            self.latest[name] = numbers[-1]

    def rows(self) -> Iterator[tuple[int, str, float]]:
        """All values as (step, name, value), sorted by step."""
        rows = [
            (step, name, value)
            for name, series in self._series.items()
            for step, value in zip(*series, strict=True)
        ]
        return iter(sorted(rows, key=lambda row: row[0]))

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """Steps and values of one metric; empty lists if the metric has no values."""
        return self._series.get(name, ([], []))

    @overload
    def __getitem__(self, key: str) -> Array: ...

    @overload
    def __getitem__(self, key: slice) -> History: ...

    def __getitem__(self, key: str | slice) -> Array | History:
        if isinstance(key, str):
            if key not in self._series:
                raise UnknownName(f"the history has no metric {key!r}; {nearest(key, self._series)}")
            return np.array(self._series[key][1])
        if not isinstance(key, slice) or key.step is not None:
            raise TypeError("expected the name of a metric, or a slice of updates, such as [1000:2000]")
        first = 0 if key.start is None else key.start
        history = History()
        for step, name, value in self.rows():
            if first <= step and (key.stop is None or step < key.stop):
                history.add(step, {name: value})
        return history

    def __iter__(self) -> Iterator[str]:
        return iter(self._series)

    def __len__(self) -> int:
        return len(self._series)

    def names(self) -> list[str]:
        return list(self._series)

    def write_csv(self, path: Path) -> None:
        """One line for each value: ``step,metric,value``; values in full precision."""
        with replacing(path) as file:
            writer = csv.writer(codecs.getwriter("utf-8")(file))
            writer.writerow(["step", "metric", "value"])
            writer.writerows((step, name, repr(value)) for step, name, value in self.rows())

    @classmethod
    def read_csv(cls, path: Path) -> History:
        """The history that ``write_csv`` wrote. Raises ``UsageError`` if the file is damaged."""
        history = cls()
        try:
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    history.add(_step(row["step"]), {row["metric"]: float(row["value"])})
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        except (csv.Error, ValueError, KeyError, TypeError) as error:  # TypeError: a field is missing
            raise UsageError(
                f"{path} is damaged: expected lines of step, metric, value ({str(error)[:80]})"
            ) from error
        return history

    def arrays(self) -> dict[str, Array]:
        """The whole history as arrays, for a checkpoint."""
        out: dict[str, Array] = {}
        for name, (steps, values) in self._series.items():
            out[f"{name}/steps"], out[f"{name}/values"] = np.array(steps, np.int64), np.array(values)
        return out

    @classmethod
    def from_arrays(cls, arrays: dict[str, Array]) -> History:
        """The history of a checkpoint. Raises ``UsageError`` if steps and values do not belong together."""
        history = cls()
        for key, steps in arrays.items():
            name, _, field = key.rpartition("/")
            if field == "steps":
                numbers = arrays.get(f"{name}/values", np.empty(()))
                types = steps.dtype == np.int64 and numbers.dtype == np.float64
                if not types or steps.ndim != 1 or numbers.shape != steps.shape:
                    raise UsageError(f"the history of {name} has not one value for each step")
                values = numbers.tolist()
                history._series[name] = (steps.tolist(), values)
                if values:
                    history.latest[name] = values[-1]
        return history


def _step(text: str) -> int:
    step = int(text)
    if not 0 <= step < 1 << 63:
        raise ValueError(f"step {text[:40]}")
    return step
