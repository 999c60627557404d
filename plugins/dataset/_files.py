"""Finds the files of a user's own data set, and opens NumPy files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mlpframe.api import DataContext, UsageError, nearest


def find_file(context: DataContext, option: str, file: str) -> Path:
    """Find a file. A relative path is looked up in the working directory, then in ``data_dir``.

    Raises:
        UsageError: there is no such file. The message names the most similar files in the folders searched.
    """
    requested = Path(file).expanduser()
    places = list(dict.fromkeys(folder / requested for folder in (Path.cwd(), context.data_dir)))
    for path in places:
        if path.is_file():
            return path
    folders = [path.parent for path in places]
    names = {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}
    raise UsageError(
        f"dataset.{option}={file}: there is no such file in {' or '.join(map(str, folders))}; "
        f"{nearest(requested.name, names)}"
    )


def open_numpy(path: Path, *, mapped: bool = False) -> Any:
    """Open a .npy file, which is memory-mapped if ``mapped`` and else read, or a .npz file. Refuses pickles.

    Raises:
        UsageError: the file cannot be read as a NumPy file.
    """
    try:
        return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as {path.suffix or '.npy'}: {error}") from error
