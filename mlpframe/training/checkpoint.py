"""Saving and loading: arrays and plain values in one file, written whole or not at all; never a pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..api import Array, UsageError

META = "meta.json"
FORMAT = 1
"""The number of the format of the files that mlpframe writes (checkpoints, models, records of runs).

It goes up when what a file holds changes its meaning. Files of mlpframe 0.1.0 have no number, which is read
as 0. Whoever reads a file converts an older format; a newer one is refused.
"""


def save(path: Path, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
    """Write arrays by name, and plain values, to ``path`` (``.npz``).

    The file appears under its name only when all of it is on the disk: a crash leaves the old one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*"):  # by a process that was killed while it wrote
        left.unlink(missing_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    text = np.frombuffer(json.dumps({"format": FORMAT, **meta}).encode(), np.uint8)
    try:
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **{META: text}, **arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what ``save`` wrote; ``meta["format"]`` is 0 in files of mlpframe 0.1.0, which wrote no number.

    Raises:
        UsageError: there is no such file, it is damaged, or its format is newer.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = {"format": 0, **json.loads(arrays.pop(META).tobytes())}
    except FileNotFoundError:
        raise UsageError(f"there is no checkpoint {path}") from None
    except Exception as error:  # zipfile and numpy raise many kinds for a damaged file
        raise UsageError(f"checkpoint {path} cannot be read: {error}") from error
    check_format(path, meta["format"])
    return arrays, meta


def check_format(path: Path, version: object) -> None:
    """Raise ``UsageError`` if a file's format is newer than the newest that this mlpframe reads."""
    if not isinstance(version, int) or not 0 <= version <= FORMAT:
        raise UsageError(
            f"{path} has format {version}, and mlpframe {__version__} reads formats up to {FORMAT}: "
            "install the newer mlpframe that wrote the file"
        )
