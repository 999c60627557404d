"""Damaged and hostile files end in a result, or in words where they are read."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from benchmarks.damage.damages import npz_bomb
from benchmarks.damage.kinds import kinds
from benchmarks.damage.running import Outcome, cases, run, run_command
from mlpframe import registries
from mlpframe.api import DataContext, Npz, UsageError, read_npy
from mlpframe.training import checkpoint
from mlpframe.training.data.prepare import load_data
from mlpframe.training.rng import Streams


def failures(outcomes: list[Outcome]) -> list[str]:
    return [f"{outcome.case}: {outcome.result}: {outcome.detail}" for outcome in outcomes if outcome.failed]


def test_damaged_files_end_in_a_result_or_in_words_where_they_are_read() -> None:
    outcomes = list(run(cases(600, 1, list(kinds()))))
    assert failures(outcomes) == []
    results = {outcome.result for outcome in outcomes}
    assert results == {"same", "other", "words"}  # the damage was neither harmless nor always fatal


def test_the_command_ends_with_status_0_or_2_and_at_most_three_lines() -> None:
    by_name = kinds()
    useful = [case for case in cases(300, 2, list(by_name)) if by_name[case.kind].command]
    chosen = Random(2).sample(useful, 10)
    outcomes = [run_command(case, by_name[case.kind]) for case in chosen]
    assert failures(outcomes) == []


@pytest.mark.long
def test_fifteen_thousand_damaged_files() -> None:
    assert failures(list(run(cases(15_000, 0, list(kinds()))))) == []


def test_a_case_is_the_same_again() -> None:
    names = list(kinds())
    assert cases(50, 3, names) == cases(60, 3, names)[:50]
    assert cases(50, 3, names)[7].rng.random() == cases(50, 3, names)[7].rng.random()


# --- headers and archives ------------------------------------------------------------------------------


def npy(header: str, content: bytes = bytes(96)) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def header(shape: str, descr: str = "'<f8'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (header(f"({1 << 40},)"), r"claims the shape \(1099511627776,\) of float64, .* and 96 bytes follow"),
        (header(f"({10**30}, 2)"), "its header claims"),
        (header("(11,)"), "which is 88 bytes, and 96 bytes follow"),
        (header("(-12,)"), "its header claims"),
        (header("(12,)", "'|O'"), "which are a pickle"),
        (header("((((("), "no array of NumPy"),
        ("{'descr': ", "no array of NumPy"),
    ],
)
@pytest.mark.parametrize("mapped", [False, True])
def test_the_header_of_an_array_is_not_believed(
    tmp_path: Path, written: str, message: str, mapped: bool
) -> None:
    file = tmp_path / "x.npy"
    file.write_bytes(npy(written))
    with pytest.raises(UsageError, match=message):
        read_npy(file, mapped=mapped)
    np.savez(tmp_path / "x.npz", y=np.zeros(3))
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("x.npy", npy(written))
    with Npz(tmp_path / "x.npz") as arrays, pytest.raises(UsageError, match=f"the array 'x' .*{message}"):
        arrays["x"]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "?", "<U3", "M8[s]", "<c16"])
def test_arrays_are_read_to_the_bit(tmp_path: Path, order: Any, dtype: str) -> None:
    array = np.array([[1, 0, 1], [0, 1, 1]]).astype(dtype).copy(order)
    np.save(tmp_path / "x.npy", array)
    np.savez_compressed(tmp_path / "x.npz", x=array)
    with Npz(tmp_path / "x.npz") as arrays:
        found = [read_npy(tmp_path / "x.npy"), read_npy(tmp_path / "x.npy", mapped=True), arrays["x"]]
    for each in found:
        assert (each.dtype, each.shape, each.flags.f_contiguous) == (array.dtype, array.shape, order == "F")
        assert each.tobytes() == array.tobytes()


def test_an_archive_with_two_arrays_of_one_name_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros(3))
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("x.npy", npy(header("(12,)")))
    with pytest.raises(UsageError, match="it holds 2 arrays called 'x'"):
        Npz(tmp_path / "x.npz")


def test_an_archive_that_unpacks_to_gigabytes_is_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    file.write_bytes(npz_bomb("x.npz", {"x.npy": b""}, "x.npy"))
    assert file.stat().st_size < 1 << 23
    with pytest.raises(UsageError, match=r"bytes unpack to 1,342,177,\d{3} bytes"):
        Npz(file)


# --- the checksum of checkpoints and models ---------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    file = tmp_path / "last.npz"
    checkpoint.save(file, {"w": np.arange(1000.0), "order": np.arange(7)}, {"step": 3})
    return file


def rewritten(file: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Write the members of an archive anew, with the checksums of a zip file, after a change."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def saved_array(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


CHANGES: dict[str, Callable[[dict[str, bytes]], Any]] = {
    "another number": lambda members: members.update({"w.npy": saved_array(np.arange(1000.0) + 1e-9)}),
    "another shape": lambda members: members.update(
        {"w.npy": saved_array(np.arange(1000.0).reshape(10, 100))}
    ),
    "another type": lambda members: members.update({"w.npy": saved_array(np.arange(1000.0).view(np.int64))}),
    "a missing array": lambda members: members.pop("order.npy"),
    "a further array": lambda members: members.update({"x.npy": members["w.npy"]}),
    "another name": lambda members: members.update({"v.npy": members.pop("w.npy")}),
    "other plain values": lambda members: members.update(
        {"meta.json.npy": saved_array(np.frombuffer(json.dumps({"format": 3, "step": 4}).encode(), np.uint8))}
    ),
    "an older format": lambda members: members.update(
        {"meta.json.npy": saved_array(np.frombuffer(json.dumps({"format": 2, "step": 3}).encode(), np.uint8))}
    ),
    "no checksum": lambda members: members.pop("sha256.npy"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_checksum_covers_everything(saved: Path, change: str) -> None:
    rewritten(saved, lambda _: None)
    assert checkpoint.load(saved)[1]["step"] == 3
    rewritten(saved, CHANGES[change])
    with pytest.raises(UsageError, match="its content is not what was written"):
        checkpoint.load(saved)


def test_a_digit_of_a_shape_is_noticed_although_the_archive_finds_no_fault(saved: Path) -> None:
    """NumPy reads as many bytes as the header claims. The archive's checksum is compared at its last byte."""
    content = saved.read_bytes()
    assert content.count(b"(1000,)") == 1
    saved.write_bytes(content.replace(b"(1000,)", b"(0000,)").replace(b"(1000, )", b"(0000, )"))
    with pytest.raises(UsageError, match="cannot be read"):
        checkpoint.load(saved)


# --- data ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            [0, 1, 1 << 40, 0],
            "whole numbers from 0 to 1,099,511,627,776; expected class numbers from 0 to at most 999",
        ),
        ([0, 1, -1, 0], "whole numbers from -1 to 1; expected class numbers from 0"),
        ([0.5, 1, np.nan, 0], "missing or infinite values in the target of 1 rows, the first in row 3"),
        (["a", "b", "a", "b"], "expected numbers"),
        ([], "for the 4 rows"),
    ],
)
def test_targets_of_mapped_files_that_cannot_be_used(tmp_path: Path, y: list[Any], message: str) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 2), np.float32))
    np.save(tmp_path / "y.npy", np.array(y))
    dataset = registries["dataset"].create("npy", x="x.npy", y="y.npy")
    with pytest.raises(UsageError, match=message):
        load_data(dataset, tmp_path, "float32", Streams(0), final=False)


def test_numbers_that_the_runs_type_does_not_hold_are_refused(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(20, 2))
    x[3, 1] = 1e300
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(20) % 2)
    dataset = registries["dataset"].create("npz", file="data.npz")
    with pytest.raises(UsageError, match="the inputs have numbers that are too large for float32"):
        load_data(dataset, tmp_path, "float32", Streams(0), final=False)
    load_data(dataset, tmp_path, "float64", Streams(0), final=False)


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2", ".zip", ".zst"])
def test_a_packed_table_is_read_and_one_that_unpacks_without_bound_is_not(
    tmp_path: Path, suffix: str
) -> None:
    from benchmarks.damage.damages import bomb
    from benchmarks.damage.kinds import PACKERS

    if suffix == ".zst" and not has_zstd():
        pytest.skip("the program zstd is not installed")
    file = tmp_path / f"table.csv{suffix}"
    file.write_bytes(PACKERS[suffix](b"a,b,y\n" + b"1,2,x\n3,5,z\n" * 20))
    dataset = registries["dataset"].create("csv", file=str(file))
    context = DataContext(tmp_path, np.random.default_rng(0))
    assert dataset.load(context).class_names == ("x", "z")
    file.write_bytes(bomb(suffix, b"a,b,y\n", b"1,2,0\n"))
    with pytest.raises(UsageError, match="unpacks to more than 100 times its size"):
        dataset.load(context)


def has_zstd() -> bool:
    import shutil

    return shutil.which("zstd") is not None
