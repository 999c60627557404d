"""Opens tables that may be packed: damage is put into words, and a file cannot unpack without bound."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mlpframe.api import RATIO, UsageError

LEAST = 64 << 20
"""Bytes that any packed table may unpack to. A table takes ten times as many bytes while pandas reads it."""


@contextmanager
def in_words(path: Path, form: str) -> Iterator[None]:
    """Put any error of a library's reader into words. Only the call of the library belongs inside.

    pandas, pyarrow and the unpackers document few of the errors that they raise for a damaged file:
    ``OSError``, ``EOFError``, ``ValueError``, ``zlib.error``, ``LZMAError``, ``BadZipFile``, ``KeyError``,
    ``TypeError``, ``NotImplementedError``, ``MemoryError`` and Arrow's own.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"{path} cannot be read as {form}: {reason[:300]}") from error


@contextmanager
def open_table(path: Path) -> Iterator[IO[bytes]]:
    """Open a file of text, unpacked if its suffix says that it is packed.

    Reading from the file raises ``UsageError`` where the packed data are damaged, or unpack to more than
    ``RATIO`` times what has been read of them, with at least ``LEAST`` bytes.
    """
    with path.open("rb") as file:
        unpacker = UNPACKERS.get(path.suffix.lower())
        yield file if unpacker is None else io.BufferedReader(_Unpacked(path, file, unpacker), 1 << 17)


class _Unpacked(io.RawIOBase):
    """The unpacked bytes of a file."""

    def __init__(self, path: Path, file: IO[bytes], unpacker: Callable[[Path, IO[bytes]], Any]) -> None:
        self._path, self._file, self._size = path, file, 0
        with in_words(path, path.suffix):
            self._unpacked = unpacker(path, file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with in_words(self._path, self._path.suffix):
            data = self._unpacked.read(len(buffer))
        buffer[: len(data)] = data
        self._size += len(data)
        if self._size > LEAST + RATIO * self._file.tell():
            raise UsageError(
                f"{self._path} unpacks to more than {RATIO} times its size, as no table does; "
                "unpack the file if it is to be read all the same"
            )
        return len(data)


def _unzip(path: Path, file: IO[bytes]) -> IO[bytes]:
    archive = zipfile.ZipFile(file)
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) != 1:
        raise UsageError(f"{path} holds {len(members)} files; expected one table")
    if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UsageError(
            f"{path} is packed in an unusual way; expected deflate"
        )  # zipfile unpacks it unbounded
    return archive.open(members[0])


def _unpack_zstd(_: Path, file: IO[bytes]) -> Any:
    import pyarrow as pa

    return pa.input_stream(file, compression="zstd")


UNPACKERS: dict[str, Callable[[Path, IO[bytes]], Any]] = {
    ".gz": lambda _, file: gzip.GzipFile(fileobj=file),
    ".xz": lambda _, file: lzma.LZMAFile(file),  # noqa: SIM115 - open_table closes what it reads from
    ".bz2": lambda _, file: bz2.BZ2File(file),
    ".zip": _unzip,
    ".zst": _unpack_zstd,
}
"""What unpacks a file, by its suffix."""
