"""Saving and loading: arrays and plain values in one file, written whole or not at all; never a pickle."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from .api import Array, UsageError

META = "meta.json"


def save(path: Path, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
    """Write arrays by name, and plain values, to ``path`` (``.npz``).

    The file appears under its name only when all of it is on the disk: a crash leaves the old one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*"):  # by a process that was killed while it wrote
        left.unlink(missing_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    text = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    try:
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **{META: text}, **arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """What ``save`` wrote.

    Raises:
        UsageError: there is no such file, or it is not whole.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, json.loads(arrays.pop(META).tobytes())
    except FileNotFoundError:
        raise UsageError(f"there is no checkpoint {path}") from None
    except Exception as error:  # zipfile and numpy raise many kinds for a damaged file
        raise UsageError(f"checkpoint {path} cannot be read: {error}") from error
