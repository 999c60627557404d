"""Checkpoints load to the bit, or are refused, even after damage or an interruption."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlpframe.api import UsageError
from mlpframe.training import checkpoint
from tests.running import ROOT, environment, wait_until

META: dict[str, Any] = {
    "streams": {"init": np.random.PCG64(5).state},  # integers of 128 bits
    "floats": [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, float("inf")],
    "text": "α → β \n \"'",
    "nothing": None,
    "deep": {"list": [1, [True, False], {}], "2": []},
}


def arrays() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return {
        "w": rng.normal(size=1000).astype(np.float32),
        "slot/m": rng.normal(size=(10, 7)),
        "order": rng.permutation(50),
        "empty": np.empty((0, 3)),
        "scalar": np.array(-0.0),
        "odd": np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324]),
        "history/val/loss/values": np.array([0.1, 0.2]),
        "transposed": rng.normal(size=(3, 4)).T,
    }


def assert_same(loaded: dict[str, Any], expected: dict[str, Any]) -> None:
    assert loaded.keys() == expected.keys()
    for name, array in expected.items():
        assert (loaded[name].dtype, loaded[name].shape) == (array.dtype, array.shape)
        assert loaded[name].tobytes() == array.tobytes()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoints" / "last.npz"
    checkpoint.save(path, arrays(), META)
    return path


def test_saved_values_load_to_the_bit(file: Path) -> None:
    loaded, meta = checkpoint.load(file)
    assert_same(loaded, arrays())
    assert repr(meta) == repr({"format": checkpoint.FORMAT, **META})
    assert meta["streams"]["init"]["state"]["state"] > 2**100
    assert [value.hex() for value in meta["floats"]] == [value.hex() for value in META["floats"]]


def test_a_generator_continues_from_its_saved_state(file: Path) -> None:
    restored = np.random.PCG64()
    restored.state = checkpoint.load(file)[1]["streams"]["init"]
    assert restored.random_raw(10).tolist() == np.random.PCG64(5).random_raw(10).tolist()


def test_nothing_is_pickled(file: Path) -> None:
    with np.load(file, allow_pickle=False) as plain:
        assert set(plain.files) == {*arrays(), "meta.json", "sha256"}
        assert all(plain[name].dtype.kind in "fiu" for name in plain.files)
        assert json.loads(plain["meta.json"].tobytes()) == {"format": checkpoint.FORMAT, **META}
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            assert archive.read(name).startswith(b"\x93NUMPY")


def test_an_array_of_objects_is_refused_and_the_old_file_stays(file: Path) -> None:
    # no run could continue from a file with objects, because ``load`` refuses such a file
    with pytest.raises((ValueError, TypeError)):
        checkpoint.save(file, {"w": np.array([object()])}, {})
    assert_same(checkpoint.load(file)[0], arrays())


def test_a_file_is_replaced_completely(file: Path) -> None:
    checkpoint.save(file, {"w": np.arange(3.0)}, {"step": 2})
    loaded, meta = checkpoint.load(file)
    assert_same(loaded, {"w": np.arange(3.0)})
    assert meta == {"format": checkpoint.FORMAT, "step": 2}
    assert [path.name for path in file.parent.iterdir()] == ["last.npz"]


# --- damage ------------------------------------------------------------------------------------------


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no checkpoint .*last\.npz"):
        checkpoint.load(tmp_path / "last.npz")


@pytest.mark.parametrize("content", [b"", b"x", b"not a zip file" * 100, b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"checkpoint .*last.npz cannot be read"):
        checkpoint.load(tmp_path / "last.npz")


def test_other_numpy_files_are_no_checkpoints(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.arange(3))
    np.savez(tmp_path / "arrays.npz", w=np.arange(3))
    np.savez(tmp_path / "pickled.npz", allow_pickle=True, w=np.array([{}]))
    for name in ("array.npy", "arrays.npz", "pickled.npz", "."):
        with pytest.raises(UsageError, match="cannot be read"):
            checkpoint.load(tmp_path / name)


def test_a_truncated_file_is_refused_wherever_it_was_cut(file: Path) -> None:
    content = file.read_bytes()
    ends = {*range(0, len(content), 97), *range(len(content) - 300, len(content)), 1, 2, 30}
    for end in sorted(ends):
        file.write_bytes(content[:end])
        with pytest.raises(UsageError, match="cannot be read"):
            checkpoint.load(file)


def test_every_damaged_byte_that_matters_is_noticed(file: Path) -> None:
    content = file.read_bytes()
    noticed = 0
    for at in range(0, len(content), 13):
        file.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        try:
            loaded, meta = checkpoint.load(file)
        except UsageError:
            noticed += 1
            continue
        assert_same(loaded, arrays())  # the byte was part of a date, or of other data that do not matter here
        assert repr(meta) == repr({"format": checkpoint.FORMAT, **META})
    assert noticed > 0.8 * len(content) / 13


# --- interruptions -----------------------------------------------------------------------------------

SAVE_FOR_EVER = """
import sys
from pathlib import Path
import numpy as np
from mlpframe.training import checkpoint

numbers = np.empty(1_000_000)
i = 0
while True:
    numbers[:] = i
    checkpoint.save(Path(sys.argv[1]), {"w": numbers, "also": numbers[:1000]}, {"step": i})
    i += 1
"""


def test_a_process_killed_while_it_saves_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    cut = 0
    for i in range(4):
        file = tmp_path / str(i) / "last.npz"
        command = [sys.executable, "-c", SAVE_FOR_EVER, str(file)]
        with subprocess.Popen(command, cwd=ROOT, env=environment()) as process:
            wait_until(file.exists, "the first checkpoint")
            time.sleep(0.05 + 0.017 * i)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        loaded, meta = checkpoint.load(file)
        assert_same(
            loaded, {"w": np.full(1_000_000, float(meta["step"])), "also": np.full(1000, float(meta["step"]))}
        )
        cut += len(list(file.parent.iterdir())) > 1
    assert cut > 0  # at least one kill came during writing


@contextmanager
def longest_file(size: int) -> Iterator[None]:
    """Limit files to ``size`` bytes, so that writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(file: Path) -> None:
    with longest_file(5000), pytest.raises(OSError, match="too large"):
        checkpoint.save(file, {"w": np.zeros(10_000)}, {})
    assert_same(checkpoint.load(file)[0], arrays())
    assert [path.name for path in file.parent.iterdir()] == ["last.npz"]


def test_meta_with_objects_is_refused_and_the_old_file_stays(file: Path) -> None:
    with pytest.raises(TypeError):
        checkpoint.save(file, arrays(), {"when": object()})
    assert_same(checkpoint.load(file)[0], arrays())
    assert [path.name for path in file.parent.iterdir()] == ["last.npz"]
