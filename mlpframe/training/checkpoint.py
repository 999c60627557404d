"""Save and load arrays and plain values without pickle. A file is written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..api import Array, UsageError
from ..files import replacing
from ..numpy_files import Npz

META = "meta.json"
CHECKSUM = "sha256"
"""The array with the checksum of all other arrays: their names, types, shapes and bytes. Since format 3."""
FORMAT = 3
"""The format number of the files that mlpframe writes (checkpoints, models, records of runs).

The number increases when the contents of a file change their meaning. Files of mlpframe 0.1.0 have no number
and are read as format 0. The code that reads a file converts older formats and refuses newer formats.
"""


def save(path: Path, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
    """Write arrays by name, and plain values, to ``path`` (``.npz``), whole or not at all.

    Raises:
        OSError: the file cannot be written; an older file of this name is intact.
    """
    text = np.frombuffer(json.dumps({"format": FORMAT, **meta}).encode(), np.uint8)
    content = {META: text, **arrays}
    with replacing(path) as file:
        np.savez(file, allow_pickle=False, **{CHECKSUM: _checksum(content)}, **content)


def load(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read the file that ``save`` wrote. Files of 0.1.0 have no format number: ``meta["format"]`` is 0.

    Raises:
        UsageError: the file does not exist, is damaged, or has a newer format.
    """
    title = f"checkpoint {path}"
    if not path.exists():
        raise UsageError(f"there is no {title}")
    with Npz(path, title) as file:
        content = {name: file[name] for name in file.names}
    checksum = content.pop(CHECKSUM, None)
    if META not in content:
        raise UsageError(f"{title} cannot be read: mlpframe has not written it")
    arrays = {name: array for name, array in content.items() if name != META}
    try:
        values = json.loads(content[META].tobytes())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{title} cannot be read: {META} is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{title} cannot be read: {META} holds no JSON object")
    meta = {"format": 0, **values}
    check_format(path, meta["format"])
    written_with = checksum is not None or meta["format"] >= 3
    if written_with and not np.array_equal(_checksum(content), checksum):  # type: ignore[arg-type]
        raise UsageError(f"{title} cannot be read: its content is not what was written (SHA-256)")
    return arrays, meta


def _checksum(content: Mapping[str, Array]) -> Array:
    """The SHA-256 of arrays: of the name, type, shape and bytes of each, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(content):
        array = np.asarray(content[name])
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.nbytes else b"")
    return np.frombuffer(digest.digest(), np.uint8)


def check_values(title: str, value: Any, expected: Any, name: str = "") -> None:
    """Refuse plain values that are not of the expected form.

    Args:
        title: how the message names the file.
        value: what was read from the file.
        expected: a type (a ``float`` may be a whole number and must be finite); a set of values; a tuple of
            alternatives; ``[form]``, a list of values of a form; or a mapping of the keys that must be there
            to the forms of their values.
        name: where in the file the value is.

    Raises:
        UsageError: the values are of another form.
    """
    forms = expected if isinstance(expected, tuple) else (expected,)
    fitting = [form for form in forms if _is_of(value, form)]
    if not fitting:
        raise UsageError(f"{title} cannot be read: {name or 'its content'} is {str(value)[:80]!r}")
    form = fitting[0]
    if isinstance(form, dict):
        for key, expected_value in form.items():
            if key not in value:
                raise UsageError(f"{title} cannot be read: {name or 'its content'} lacks {key!r}")
            check_values(title, value[key], expected_value, f"{name}.{key}" if name else key)
    elif isinstance(form, list):
        for position, item in enumerate(value):
            check_values(title, item, form[0], f"{name}[{position}]")


def _is_of(value: Any, form: Any) -> bool:
    """Whether a value is of a form, as far as the value's own type tells."""
    if form is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
    if form is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63
    if isinstance(form, set | frozenset):
        return isinstance(value, str) and value in form
    return isinstance(value, form if isinstance(form, type) else type(form))


def check_format(path: Path, version: object) -> None:
    """Raise ``UsageError`` if a file's format is newer than the newest that this mlpframe reads."""
    if not isinstance(version, int) or not 0 <= version <= FORMAT:
        raise UsageError(
            f"{path} has format {str(version)[:40]}, and mlpframe {__version__} reads formats up to {FORMAT}"
            ": install the newer mlpframe that wrote the file"
        )
