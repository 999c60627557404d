"""Inputs that stay on the disk are encoded once, some rows at a time, to the same numbers as in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from mlpframe.api import ColumnRules, FrameFile, Splits, Table, UsageError
from mlpframe.training.data import encoded, missing
from mlpframe.training.data.prepare import Data, load_data
from mlpframe.training.rng import Streams
from tests.running import mlpframe
from tests.training.data.test_prepare import Given

RNG = np.random.default_rng(0)
X = RNG.standard_normal((1000, 5)) * [1, 10, 100, 1e-3, 1] + [0, 5, -300, 0, 1e4]
Y = RNG.integers(0, 3, 1000)


def prepare(splits: Splits, scratch: Path | None, **options: Any) -> Data:
    dataset = Given(splits, test=0, **{"split": "last", "validation": 0.25, **options})
    return load_data(dataset, Path(), "float32", Streams(0), final=False, scratch=scratch)


def mapped(folder: Path) -> Splits:
    np.save(folder / "x.npy", X)
    return Splits(Table(np.load(folder / "x.npy", mmap_mode="r"), Y), class_names=("a", "b", "c"))


def in_memory() -> Splits:
    return Splits(Table(X, Y), class_names=("a", "b", "c"))


@pytest.mark.parametrize("scaling", ["none", "standard", "robust"])
def test_a_mapped_file_gives_the_inputs_that_an_array_gives(
    tmp_path: Path, scaling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoded, "BLOCK_BYTES", 8 * 5 * 70)  # 70 rows are encoded at a time
    expected = prepare(in_memory(), None, scaling=scaling)
    data = prepare(mapped(tmp_path), tmp_path / "encoded", scaling=scaling)
    for part, other in ((data.train, expected.train), (data.validation, expected.validation)):
        assert part is not None
        assert other is not None
        assert part.mapping is not None
        assert part.x.tobytes() == other.x.tobytes()


def test_a_large_file_is_encoded_by_a_sample_of_its_training_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoded, "SAMPLE_BYTES", 8 * 5 * 200)
    data = prepare(mapped(tmp_path), tmp_path / "encoded", scaling="standard")
    sample = X[np.linspace(0, 749, 200).astype(int)]
    np.testing.assert_allclose(data.encoder.scaling.shift, sample.mean(0), rtol=1e-12)
    np.testing.assert_allclose(data.train.x.mean(0), 0, atol=0.3)


def test_a_gap_in_a_mapped_file_is_found_when_it_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing, "SEARCHED", 0)  # as for a file that is too large to be searched
    splits = mapped(tmp_path)
    X_gap = X.copy()
    X_gap[777, 2] = np.nan
    np.save(tmp_path / "x.npy", X_gap)
    splits = Splits(Table(np.load(tmp_path / "x.npy", mmap_mode="r"), Y), class_names=("a", "b", "c"))
    with pytest.raises(UsageError, match="have missing or infinite values"):
        prepare(splits, tmp_path / "encoded", scaling="standard")


def table() -> pd.DataFrame:
    frame = pd.DataFrame(X, columns=list("abcde"))
    frame["town"] = RNG.choice(["Ulm", "Bonn"], 1000)
    frame.loc[5, "a"] = np.nan
    return frame


@pytest.mark.parametrize("split", ["last", "random", "stratified"])
@pytest.mark.parametrize("missing", ["impute", "indicate"])
def test_a_table_in_its_file_gives_the_inputs_that_a_data_frame_gives(
    tmp_path: Path, split: str, missing: str
) -> None:
    frame = table()

    def blocks() -> Iterator[pd.DataFrame]:
        for begin in range(0, 1000, 130):
            yield frame.iloc[begin : begin + 130]

    options = {"scaling": "standard", "missing": missing, "split": split, "folds": 0}
    names, rules = ("a", "b", "c"), ColumnRules()
    columns = tuple(frame.columns)
    whole = Splits(Table(cast(Any, frame), Y), class_names=names, columns=rules)
    rows = FrameFile(blocks, columns, np.ones(1000, bool))
    filed = Splits(Table(cast(Any, rows), Y), class_names=names, columns=rules)
    expected, data = prepare(whole, None, **options), prepare(filed, tmp_path, **options)
    assert data.encoder.feature_names == expected.encoder.feature_names
    for part, other in ((data.train, expected.train), (data.validation, expected.validation)):
        assert part is not None
        assert other is not None
        assert part.mapping is not None
        assert part.x.tobytes() == other.x.tobytes()
        np.testing.assert_array_equal(part.y, other.y)
    for how in ("error", "drop"):
        with pytest.raises(UsageError, match="missing must be impute or indicate"):
            prepare(filed, tmp_path, missing=how)


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_a_table_outside_the_memory_gives_the_model_that_a_table_in_memory_gives(
    tmp_path: Path, name: str
) -> None:
    frame = table().assign(kind=np.where(np.arange(1000) < 900, 7, 8), label=np.array(["x", "y", "z"])[Y])
    # of the blocks that are read, only one contains the text
    frame["kind"] = frame["kind"].astype(str).where(np.arange(1000) != 950, "seven")
    file = tmp_path / f"t.{name}"
    if name == "csv":
        frame.to_csv(file, index=False)
    else:
        frame.to_parquet(file)
    weights = []
    for in_memory, run in (("true", "inside"), ("false", "outside")):
        settings = [f"dataset={name}", f"dataset.file={file}", "epochs=3", f"dataset.in_memory={in_memory}"]
        done = mlpframe(tmp_path, *settings, "tracking=none", f"hydra.run.dir={run}")
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / run / "encoded").exists()
        with np.load(tmp_path / run / "model" / "model.npz") as model:
            weights.append(model["w"])
    # the weights themselves differ, because the rows of a mapped file are shuffled in another order
    assert weights[0].shape == weights[1].shape


def test_inputs_outside_the_memory_need_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not fit into memory"):
        prepare(mapped(tmp_path), None, scaling="standard")
