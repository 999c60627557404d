"""Write a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a new version of the file ``path``, which replaces the file at the end of the ``with`` statement.

    The new version is written beside the file, synced to the disk, and moved over the file. So a killed
    process, a full disk or an error leaves the old file intact. A part that a killed process has left is
    removed by the next writer. Only one process at a time may write the file.

    Raises:
        OSError: the file cannot be written. The error names ``path``.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in path.parent.glob(f".{path.name}.*"):
            leftover.unlink(missing_ok=True)
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Raises:
        OSError: the file cannot be written. The error names ``path``.
    """
    with replacing(path) as file:
        file.write(text.encode())


def remove_parts(folder: Path) -> None:
    """Remove the parts of files in ``folder`` that killed processes have left. Nobody may write there now."""
    for part in folder.glob(".*.[0-9]*"):
        part.unlink(missing_ok=True)
