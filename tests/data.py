"""The files of MNIST and Fashion-MNIST, which the repository does not contain."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def data_dir() -> Path | None:
    """The folder of ``MLPFRAME_DATA``, else ``shared/data`` beside the repository; ``None`` if missing."""
    setting = os.environ.get("MLPFRAME_DATA")
    folder = Path(setting).expanduser().resolve() if setting else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


def _needs(name: str) -> pytest.MarkDecorator:
    folder = data_dir()
    complete = folder is not None and all((folder / name / file).is_file() for file in FILES)
    return pytest.mark.skipif(
        not complete,
        reason=f"the four files of {name} are missing: set MLPFRAME_DATA to the folder that contains {name}/",
    )


needs_mnist = _needs("mnist")
needs_fashion_mnist = _needs("fashion-mnist")
