"""Where a data set of one's own is looked for, and the NumPy files it may be in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mlpframe.api import DataContext, UsageError, nearest


def find_file(context: DataContext, option: str, file: str) -> Path:
    """A file by its absolute path, or relative to the working directory, else to ``data_dir``.

    Raises:
        UsageError: there is no such file; names those most like it where it was looked for.
    """
    given = Path(file).expanduser()
    places = list(dict.fromkeys(folder / given for folder in (Path.cwd(), context.data_dir)))
    for path in places:
        if path.is_file():
            return path
    folders = [path.parent for path in places]
    names = {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}
    raise UsageError(
        f"dataset.{option}={file}: there is no such file in {' or '.join(map(str, folders))}; "
        f"{nearest(given.name, names)}"
    )


def open_numpy(path: Path, *, mapped: bool = False) -> Any:
    """The array of a .npy file, mapped or read, or the arrays of a .npz file; never a pickle.

    Raises:
        UsageError: it cannot be read as such.
    """
    try:
        return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as {path.suffix or '.npy'}: {error}") from error
