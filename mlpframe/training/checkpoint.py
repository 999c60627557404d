"""Save and load arrays and plain values without pickle. A file is written whole or not at all."""

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
FORMAT = 2
"""The format number of the files that mlpframe writes (checkpoints, models, records of runs).

The number increases when the contents of a file change their meaning. Files of mlpframe 0.1.0 have no number
and are read as format 0. The code that reads a file converts older formats and refuses newer formats.
"""


def save(path: Path, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
    """Write arrays by name, and plain values, to ``path`` (``.npz``).

    The file gets its name only after all of the file is on the disk, so a crash leaves the old file intact.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{path.name}.*"):  # of processes killed while writing
        leftover.unlink(missing_ok=True)
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
    """Read the file that ``save`` wrote. Files of 0.1.0 have no format number: ``meta["format"]`` is 0.

    Raises:
        UsageError: the file does not exist, is damaged, or has a newer format.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = {"format": 0, **json.loads(arrays.pop(META).tobytes())}
    except FileNotFoundError:
        raise UsageError(f"there is no checkpoint {path}") from None
    except Exception as error:  # zipfile and NumPy raise errors of many kinds for a damaged file
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
