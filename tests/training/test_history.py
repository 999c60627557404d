"""The history of a run keeps every value at its step exactly, also in files."""

from __future__ import annotations

from math import inf, isnan, nan
from pathlib import Path

import numpy as np
import pytest

from mlpframe.training import checkpoint
from mlpframe.training.history import History

HARD = [
    0.1,
    1 / 3,
    5e-324,
    1.7976931348623157e308,
    -0.0,
    2.0**53 + 2,
    1e22,
    123456789.123456789,
    inf,
    -inf,
    nan,
]


def make_history() -> History:
    history = History()
    for i, value in enumerate(HARD):
        history.add(100 * i, {"train/loss_window": value, "lr": value / 2})
        if i % 3 == 0:
            history.add(100 * i + 50, {"val/accuracy": i / 7})
    history.add(10**12, {'test/a, "quoted" name\nof two lines': 0.5})
    return history


def bits(history: History) -> dict[str, tuple[list[int], list[str]]]:
    """Steps and the bits of the values. Unlike ==, bits of NaN are equal, and −0 differs from 0."""
    return {
        name: (steps, [value.hex() for value in values])
        for name in sorted(history.names())
        for steps, values in [history.series(name)]
    }


def test_values_are_kept_by_metric_in_the_order_of_recording() -> None:
    history = History()
    history.add(10, {"a": 1.0, "b": 2.0})
    history.add(20, {"a": 3.0})
    history.add(20, {"a": 4.0})  # a step may occur twice
    assert history.series("a") == ([10, 20, 20], [1.0, 3.0, 4.0])
    assert history.series("b") == ([10], [2.0])
    assert history.series("c") == ([], [])
    assert history.names() == ["a", "b"]
    assert history.latest == {"a": 4.0, "b": 2.0}


def test_rows_are_sorted_by_step() -> None:
    history = History()
    history.add(5, {"a": 1.0})
    history.add(20, {"a": 2.0})
    history.add(10, {"b": 3.0})
    assert list(history.rows()) == [(5, "a", 1.0), (10, "b", 3.0), (20, "a", 2.0)]


def test_numbers_of_numpy_become_python_numbers() -> None:
    history = History()
    history.add(1, {"a": np.float32(0.1)})  # type: ignore[dict-item]
    assert [type(value) for value in history.series("a")[1]] == [float]
    assert history.latest["a"] == float(np.float32(0.1))


def test_a_csv_file_keeps_every_bit(tmp_path: Path) -> None:
    history, file = make_history(), tmp_path / "deep" / "history.csv"
    history.write_csv(file)
    read = History.read_csv(file)
    assert bits(read) == bits(history)
    assert repr(read.latest) == repr({name: history.latest[name] for name in read.latest})
    assert isnan(read.latest["lr"])


def test_a_csv_file_has_a_header_and_plain_numbers(tmp_path: Path) -> None:
    history = History()
    history.add(34, {"train/loss": 0.1, "val/loss": 1e-7})
    history.write_csv(tmp_path / "history.csv")
    text = (tmp_path / "history.csv").read_bytes()
    assert text.splitlines() == [b"step,metric,value", b"34,train/loss,0.1", b"34,val/loss,1e-07"]


def test_arrays_keep_every_bit() -> None:
    history = make_history()
    arrays = history.arrays()
    assert all(array.dtype in (np.int64, np.float64) for array in arrays.values())
    again = History.from_arrays(arrays)
    assert bits(again) == bits(history)
    assert repr(again.latest) == repr(history.latest)
    assert again.names() == history.names()


def test_arrays_survive_a_checkpoint_and_the_history_continues(tmp_path: Path) -> None:
    history = make_history()
    checkpoint.save(tmp_path / "last.npz", history.arrays(), {})
    again = History.from_arrays(checkpoint.load(tmp_path / "last.npz")[0])
    for either in (history, again):
        either.add(10**6, {"lr": 0.25, "new": 1.0})
    assert bits(again) == bits(history)
    assert [type(step) for step in again.series("lr")[0]] == [int] * (len(HARD) + 1)


@pytest.mark.parametrize("history", [History(), History.from_arrays({})])
def test_an_empty_history_has_no_names_and_no_arrays(tmp_path: Path, history: History) -> None:
    history.write_csv(tmp_path / "history.csv")
    assert History.read_csv(tmp_path / "history.csv").names() == []
    assert history.arrays() == {}
