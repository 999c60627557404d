"""Finds the files of a user's own data set."""

from __future__ import annotations

from pathlib import Path

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
