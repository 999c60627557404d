"""Read tables that installed packages contain, without importing the packages.

Some packages, such as pydataset, copy files into the home directory when they are imported.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import click
import pandas as pd
from sklearn import datasets as sklearn_datasets

Load = Callable[[], pd.DataFrame]


def sklearn(name: str) -> Load:
    """A data set of scikit-learn, with the names of its classes. Its target column is ``target``."""

    def load() -> pd.DataFrame:
        bunch = getattr(sklearn_datasets, f"load_{name}")(as_frame=True)
        frame: pd.DataFrame = bunch.frame
        if "target_names" in bunch:
            frame["target"] = [str(bunch.target_names[code]) for code in frame["target"]]
        return frame

    return load


def csv(package: str, file: str) -> Load:
    """A CSV file, compressed or not, inside a package."""
    return lambda: pd.read_csv(_locate(package, file), low_memory=False)


def stata(package: str, file: str) -> Load:
    """A Stata file inside a package. Values that have a label in the file become this label, as text."""

    def load() -> pd.DataFrame:
        frame = pd.read_stata(_locate(package, file))
        labeled = frame.select_dtypes("category").columns
        return frame.astype(dict.fromkeys(labeled, object))

    return load


def pydataset(name: str) -> Load:
    """A data set of an R package, ``package/name``, inside pydataset; the first column numbers the rows."""

    def load() -> pd.DataFrame:
        with tarfile.open(_locate("pydataset", "pydataset/resources.tar.gz")) as archive:
            member = archive.extractfile(f"resources/rdata/csv/{name}.csv")
            assert member is not None
            return pd.read_csv(member, index_col=0, low_memory=False)

    return load


def _locate(package: str, file: str) -> Path:
    try:
        return Path(str(distribution(package).locate_file(file)))
    except PackageNotFoundError:
        raise click.ClickException(f"{package} is not installed: pip install -e '.[tables]'") from None
