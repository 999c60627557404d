"""Read .npy and .npz files that may be damaged or hostile.

Nothing is unpickled. Nothing is allocated because a header claims it: the size that a header claims must be
the size of what the file holds. A packed file may unpack to 100 times its size, or to 1 GB if that is more.
"""

from __future__ import annotations

import warnings
from collections import Counter
from io import BytesIO
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .registry import UsageError, nearest

if TYPE_CHECKING:
    from zipfile import ZipInfo

UNPACKED = 1 << 30
"""Bytes that any packed file may unpack to."""
RATIO = 100
"""How many times its own size a packed file may unpack to. Arrays and tables seldom reach a ratio of 50."""
HEADER = 1 << 16
"""Bytes of the beginning of an array's file in which its header ends; NumPy reads no header above 10,000."""
PIECE = 1 << 20
ENCRYPTED = 1
"""The bit of a zip member's flags that says that the member is encrypted."""
MAGIC = b"PK"
"""The first bytes of an archive."""


def is_npz(path: Path) -> bool:
    """Whether a file is an archive of arrays, and not a single array. Raises ``UsageError``."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def read_npy(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Read or map the array of a .npy file.

    Args:
        path: the file.
        mapped: whether the array stays on the disk, and is read where it is used.

    Raises:
        UsageError: the file cannot be read, or its header claims something else than the file holds.
    """
    try:
        if path.stat().st_size == 0:
            raise UsageError(f"{path} cannot be read: the file is empty")
        content = np.memmap(path, np.uint8, "r") if mapped else np.fromfile(path, np.uint8)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    return _array(content, str(path))


class Npz:
    """The arrays of a .npz file by name; each is read when it is asked for.

    Args:
        path: the file.
        title: how messages name the file; empty: by its path.

    Raises:
        UsageError: the file cannot be read, has two arrays of one name, or unpacks to too many bytes.
    """

    def __init__(self, path: Path, title: str = "") -> None:
        from zipfile import ZipFile

        self._path, self._title = path, title or str(path)
        try:
            size = path.stat().st_size
            self._archive = ZipFile(path)
        except OSError as error:
            raise self._unreadable(error.strerror or error) from error
        except Exception as error:  # zipfile raises errors of many kinds for a damaged directory
            raise self._unreadable(error) from error
        members = [member for member in self._archive.infolist() if member.filename.endswith(".npy")]
        for name, count in Counter(member.filename for member in members).items():
            if count > 1:
                raise self._unreadable(f"it holds {count} arrays called {name.removesuffix('.npy')!r}")
        self._members = {member.filename.removesuffix(".npy"): member for member in members}
        unpacked = sum(member.file_size for member in members)
        if unpacked > max(UNPACKED, RATIO * size):
            raise self._unreadable(f"its {size:,} bytes unpack to {unpacked:,} bytes; np.savez packs nothing")
        self.names = list(self._members)

    def __enter__(self) -> Npz:
        return self

    def __exit__(self, *error: object) -> None:
        self._archive.close()

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Read an array. Raises ``UsageError`` if there is no such array or it is damaged."""
        if name not in self._members:
            raise UsageError(f"{self._title} has no array {name!r}; {nearest(name, self.names)}")
        return _array(self._content(self._members[name]), self._title, f"the array {name!r} cannot be read: ")

    def _content(self, member: ZipInfo) -> NDArray[np.uint8]:
        """All bytes of a member. Only at the last byte does zipfile compare the member's checksum."""
        from zipfile import ZIP_DEFLATED, ZIP_STORED

        if member.flag_bits & ENCRYPTED or member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise self._unreadable(f"{member.filename!r} is encrypted, or packed as NumPy packs no array")
        if member.compress_type == ZIP_STORED and member.file_size != member.compress_size:
            raise self._unreadable(f"{member.filename!r} has two different sizes")
        content = np.empty(member.file_size, np.uint8)
        end = 0
        try:
            with self._archive.open(member) as file:
                while piece := file.read(PIECE):
                    content[end : end + len(piece)] = np.frombuffer(piece, np.uint8)
                    end += len(piece)
        except Exception as error:  # zipfile and zlib raise errors of many kinds for a damaged member
            raise self._unreadable(error) from error
        if end != len(content):
            raise self._unreadable(f"{member.filename!r} has {end:,} bytes; expected {len(content):,}")
        return content

    def _unreadable(self, reason: object) -> UsageError:
        return UsageError(f"{self._title} cannot be read: {str(reason)[:300]}")


def _array(content: NDArray[np.uint8], title: str, what: str = "cannot be read: ") -> NDArray[Any]:
    """The array in the bytes of a .npy file, without copying them."""

    def unreadable(reason: object) -> UsageError:
        return UsageError(f"{title}{':' if what.startswith('the') else ''} {what}{reason}")

    file = BytesIO(content[:HEADER].tobytes())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the header is Python source code, and may make Python warn
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"its format is {version}; expected (1, 0) or (2, 0)")
            one = version == (1, 0)
            read = np.lib.format.read_array_header_1_0 if one else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
    except Exception as error:  # NumPy parses the header as Python source code, which fails in many ways
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise unreadable(f"it is no array of NumPy: {reason[:200]}") from error
    if dtype.hasobject:
        raise unreadable("it holds Python objects, which are a pickle; expected numbers or text")
    start = file.tell()
    claimed = prod(shape) * dtype.itemsize
    if any(length < 0 for length in shape) or claimed != len(content) - start:
        raise unreadable(
            f"its header claims the shape {_short(shape)} of {dtype}, which is {claimed:,} bytes, "
            f"and {len(content) - start:,} bytes follow"
        )
    return np.ndarray(shape, dtype, content, start, order="F" if fortran else "C")


def _short(shape: tuple[int, ...]) -> str:
    text = str(shape)
    return text if len(text) < 80 else text[:80] + "…"
