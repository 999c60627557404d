"""The separator, the number marks and the encoding of a CSV file are recognized from the file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlpframe import registries
from mlpframe.api import UsageError

ROWS = [("Köln", 1234.5, 1), ("Ulm", 0.25, 2), ('a "quoted", name; with marks', -7000.75, 3)]
EXPECTED = pd.DataFrame(ROWS, columns=["Größe", "price", "n"])


def read(path: Path, content: str | bytes, name: str = "t.csv", **options: Any) -> pd.DataFrame:
    (path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    frame = registries["dataset"].create("csv", file=name, **options).read(path / name)
    assert isinstance(frame, pd.DataFrame)
    return frame


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_separator_decimal_mark_and_encoding_are_recognized(
    tmp_path: Path, separator: str, decimal: str, charset: str
) -> None:
    text = EXPECTED.to_csv(index=False, sep=separator, decimal=decimal)
    options = {"decimal": decimal} if separator == decimal == "," else {}  # else ambiguous
    pd.testing.assert_frame_equal(read(tmp_path, text.encode(charset), **options), EXPECTED)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ('a,b\n"1,234",x\n"12,345,678.5",y\n999,z\n', [1234, 12345678.5, 999]),
        ("a;b\n1.234,5;x\n12.345.678;y\n7;z\n", [1234.5, 12345678, 7]),
        ("a;b\n1.5;x\n12.25;y\n7;z\n", [1.5, 12.25, 7]),
        ("a;b\n,5;x\n-12,25;y\n7;z\n", [0.5, -12.25, 7]),
    ],
    ids=["commas between thousands", "points between thousands", "decimal point", "decimal comma"],
)
def test_marks_between_thousands_are_recognized(tmp_path: Path, text: str, numbers: list[float]) -> None:
    np.testing.assert_array_equal(read(tmp_path, text)["a"], numbers)


def test_options_for_the_marks_are_used_instead_of_recognition(tmp_path: Path) -> None:
    assert read(tmp_path, "a:b\n1:2\n", separator=":").columns.tolist() == ["a", "b"]
    frame = read(tmp_path, "a;b\n1'234,5;x\n", decimal=",", thousands="'")
    assert frame["a"].tolist() == [1234.5]
    assert read(tmp_path, "a,b\nй,1\n".encode("koi8-r"), charset="koi8-r")["a"].tolist() == ["й"]


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2", ".zip"])
def test_a_compressed_file_is_recognized_too(tmp_path: Path, suffix: str) -> None:
    text = EXPECTED.to_csv(index=False, sep=";", decimal=",").encode("cp1252")
    if suffix == ".zip":
        with zipfile.ZipFile(tmp_path / "z", "w") as archive:
            archive.writestr("t.csv", text)
        packed = (tmp_path / "z").read_bytes()
    else:
        packed = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}[suffix](text)
    pd.testing.assert_frame_equal(read(tmp_path, packed, "t.csv" + suffix), EXPECTED)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b,a\n1,2,3\n", "2 columns are called 'a'; expected one"),
        ("1,2\n3,4\n", "the first line has numbers only; expected the names of the columns"),
        (b"PK\x00\x03\x00a,b", "is not a CSV file: it has bytes that are not text"),
        ("", "is empty"),
    ],
    ids=["duplicates", "no names", "binary", "empty"],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(tmp_path, content)


def test_a_parquet_file_with_two_columns_of_the_same_name_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(table, tmp_path / "t.parquet")
    dataset = registries["dataset"].create("parquet", file="t.parquet")
    with pytest.raises(UsageError, match="2 columns are called 'a'"):
        dataset.read(tmp_path / "t.parquet")


def test_the_blocks_of_a_file_together_are_the_whole_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.arange(1000) / 4, "b": ["x", "y"] * 500})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    for name, suffix in (("csv", ".csv"), ("parquet", ".parquet")):
        dataset = registries["dataset"].create(name, file="t" + suffix)
        blocks = list(dataset.blocks(tmp_path / f"t{suffix}", 300))
        assert len(blocks) == 4
        pd.testing.assert_frame_equal(pd.concat(blocks, ignore_index=True), frame, check_dtype=False)
