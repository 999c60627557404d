"""Finds, downloads, checks and reads images in IDX files, the format of MNIST and its successors."""

from __future__ import annotations

import gzip
import hashlib
import logging
import math
import os
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mlpframe.api import Array, Splits, Table, UsageError

log = logging.getLogger(__name__)

ROWS = {"train": 60_000, "t10k": 10_000}
TIMEOUT = 10  # seconds; if a mirror sends no byte for this long, the next mirror is tried
UNSIGNED_BYTE = 8  # the code by which an IDX file says that its elements are unsigned bytes


def checked_mirrors(mirrors_option: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """The mirrors of the option, or the known mirrors if the option is ``None``.

    Raises:
        ValueError: a mirror is not a web address.
    """
    mirrors = tuple(known if mirrors_option is None else mirrors_option)
    for mirror in mirrors:
        if not mirror.startswith(("http://", "https://")):
            raise ValueError(f"mirrors must be addresses that start with http:// or https://, not {mirror!r}")
    return mirrors


def load_images(
    folder: Path, sha256: Mapping[str, str], mirrors: Sequence[str], class_names: tuple[str, ...]
) -> Splits:
    """Load the 60,000 training and 10,000 test images of 28×28 pixels, in the order of the files.

    Args:
        folder: the folder of the files. Missing files are downloaded into this folder.
        sha256: the checksum of each of the four files by its name.
        mirrors: addresses of folders that serve the files.
        class_names: the names of the labels 0, 1, …

    Raises:
        UsageError: a file is damaged, or it is missing and cannot be downloaded.
    """
    content = {file: obtain(folder / file, sha256[file], mirrors) for file in sha256}
    parts = {}
    for part, rows in ROWS.items():
        images, labels = (
            f"{part}-{content_name}-ubyte.gz" for content_name in ("images-idx3", "labels-idx1")
        )
        pixels = parse(gzip.decompress(content[images]), (rows, 28, 28), images)
        x = np.divide(pixels.reshape(rows, 28 * 28), np.float32(255), dtype=np.float32)
        y = parse(gzip.decompress(content[labels]), (rows,), labels).astype(np.intp)
        parts[part] = Table(x, y)
    return Splits(parts["train"], test=parts["t10k"], class_names=class_names, image_shape=(28, 28))


def parse(content: bytes, shape: tuple[int, ...], file: str) -> Array:
    """The unsigned bytes of an IDX file as an array that must be of ``shape``.

    The header begins with four bytes: 0, 0, the code of the element type, the number of dimensions. Then come
    the dimensions as big-endian 32-bit integers. The elements follow, with the last dimension varying
    fastest.

    Raises:
        UsageError: the file's header or length does not fit ``shape``.
    """
    header = struct.pack(f">4B{len(shape)}I", 0, 0, UNSIGNED_BYTE, len(shape), *shape)
    if not content.startswith(header):
        header_found = content[: len(header)].hex(" ", 4) or "nothing"
        raise UsageError(
            f"{file} is not an IDX file of bytes of shape {shape}:\n"
            f"it starts with {header_found}, expected {header.hex(' ', 4)}"
        )
    if len(content) != len(header) + math.prod(shape):
        raise UsageError(
            f"{file} has {len(content) - len(header)} bytes after its header, expected {math.prod(shape)}"
        )
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def obtain(path: Path, sha256: str, mirrors: Sequence[str]) -> bytes:
    """Read a file, after downloading it if it does not exist.

    Raises:
        UsageError: the file is damaged or cannot be read, or is missing and cannot be downloaded.
    """
    try:
        if not path.exists():
            download(path, sha256, mirrors)
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    actual_sha256 = hashlib.sha256(content).hexdigest()
    if actual_sha256 != sha256:
        raise UsageError(
            f"{path} is damaged: its SHA-256 is {actual_sha256},\n"
            f"expected {sha256};\n"
            "delete it, and it will be downloaded again"
        )
    return content


def download(path: Path, sha256: str, mirrors: Sequence[str]) -> None:
    """Download a file from the first mirror that serves it intact. Partial downloads are removed.

    Raises:
        UsageError: the folder cannot be written to, or no mirror serves the file.
    """
    from filelock import FileLock

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The lock file is never removed. Otherwise, while one process holds the removed file's lock, another
        # process could create and lock a new file.
        with FileLock(path.parent / ".lock"):
            if path.exists():  # another process downloaded the file while this process waited for the lock
                return
            reason = _try_mirrors(path, sha256, mirrors)
    except (OSError, NotImplementedError) as error:  # NotImplementedError: the file system has no locks
        text = getattr(error, "strerror", None) or error
        raise UsageError(
            f"{path.name} is missing and cannot be downloaded: {path.parent} cannot be written to: {text}\n"
            "choose another data_dir (or MLPFRAME_DATA)"
        ) from error
    if reason:
        raise UsageError(
            f"{path.name} is missing and could not be downloaded: {reason}\n"
            f"put it at {path} (SHA-256 {sha256})\n"
            "or name a mirror that serves it: dataset.mirrors=[https://…]"
        )


def _try_mirrors(path: Path, sha256: str, mirrors: Sequence[str]) -> str:
    """Try one mirror after another. Returns "" after a success, else the reason of the last failure."""
    import pooch

    fetch = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(),
        chunk_size=1 << 16,
        timeout=TIMEOUT,
        headers={"Accept-Encoding": "identity"},  # the .gz file arrives as it is, not unpacked
    )
    # A partial download always has the same name, so the next download overwrites a partial file that a
    # killed process left. open() creates the file, not tempfile, so that other users may read the file if
    # the umask allows.
    part = path.with_name(path.name + ".part")
    reason = "no mirror is given"
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{path.name}"
        log.info("downloading %s", url)
        try:
            fetch(url, str(part), None)
            actual_sha256 = pooch.file_hash(str(part))
            if actual_sha256 == sha256:
                os.replace(part, path)
                return ""
            reason = f"{url} has SHA-256 {actual_sha256}"
        except Exception as error:  # whatever goes wrong with this mirror, the next mirror may work
            reason = f"{mirror}: {' '.join(str(error).split()) or type(error).__name__}"
        finally:
            part.unlink(missing_ok=True)
        log.info("failed: %s", reason)
    return reason
