"""The kinds of files that mlpframe reads: how a sound one is written, and how mlpframe reads it."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from mlpframe import registries

from .damages import (
    WrongContent,
    wrong_csv,
    wrong_history,
    wrong_idx,
    wrong_json,
    wrong_npy,
    wrong_npz,
    wrong_parquet,
    wrong_stored,
    wrong_yaml,
)

ROWS = 60
OLD = Path(__file__).parents[2] / "tests" / "files" / "0.1" / "run"


class NotFinite(Exception):
    """A value that is not finite was read, and would have reached the arithmetic."""


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Args:
        file: the file that is damaged, relative to the folder of a case.
        make: writes the sound file, and the files that are read with it, into a folder.
        read: reads the file in a folder as mlpframe does. Returns what was read.
        wrong: writes a valid file with the wrong content.
        checked: whether the format or mlpframe has a checksum of the whole content, so that no damaged file
            may be read with other values.
        command: the arguments of the command that reads the file; empty: none does.
    """

    file: str
    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    wrong: WrongContent
    checked: bool = False
    command: tuple[str, ...] = ()


# --- data --------------------------------------------------------------------------------------------


@cache
def _arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 4)).astype(np.float32)
    return {"x": x, "y": np.arange(ROWS) % 3, "w": rng.random(ROWS)}


def _text() -> str:
    x = _arrays()["x"]
    lines = [
        f"{a:.6g},{b:.6g},{'red' if c > 0 else 'blue'},2024-0{i % 9 + 1}-11,{i % 2}"
        for i, (a, b, c, _) in enumerate(x)
    ]
    return "\n".join(["a,b,color,day,late", *lines]) + "\n"


def _frame() -> Any:
    import pandas as pd

    return pd.read_csv(BytesIO(_text().encode()))


def _write_npz(save: Callable[..., None], folder: Path) -> None:
    save(folder / "data.npz", **_arrays())


def _write_npy(folder: Path) -> None:
    for name, array in _arrays().items():
        np.save(folder / f"{name}.npy", array)


def _write_packed(suffix: str, folder: Path) -> None:
    (folder / f"table.csv{suffix}").write_bytes(PACKERS[suffix](_text().encode()))


def _zipped(content: bytes) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.csv", content)
    return file.getvalue()


def _zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-c"], input=content, capture_output=True, check=True).stdout


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    ".gz": partial(gzip.compress, mtime=0),
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zip": _zipped,
    ".zst": _zstd,
}


def _write_parquet(folder: Path, *, checksums: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(_frame(), preserve_index=False)
    pq.write_table(table, folder / "table.parquet", write_page_checksum=checksums)


def _load(options: Mapping[str, Any], folder: Path) -> Any:
    """Load and prepare a data set as a run does."""
    from mlpframe.training.data.prepare import load_data
    from mlpframe.training.rng import Streams

    dataset = registries["dataset"].create(dict(options))
    data = load_data(dataset, folder, "float32", Streams(0), final=False, scratch=folder / "encoded")
    parts = [part for part in (data.train, data.validation, data.test) if part is not None]
    for part in parts:
        if not (np.isfinite(part.x).all() and np.isfinite(part.y).all()):
            raise NotFinite("values that are not finite reach the training")
    return [
        data.splits.class_names,
        data.splits.feature_names,
        *([np.array(p.x), p.y, p.weights] for p in parts),
    ]


def _dataset(name: str, file: str, **options: Any) -> tuple[Callable[[Path], Any], tuple[str, ...]]:
    """How a data set reads a file, and the command line that does it."""
    options = {"file": file, **options} if name != "npy" else options
    words = [
        f"dataset.{key}={str(value).lower() if isinstance(value, bool) else value}"
        for key, value in options.items()
    ]
    return partial(_load, {"name": name, **options}), (f"dataset={name}", *words, *BRIEFLY)


BRIEFLY = ("tracking=none", "epochs=1", "model.hidden=[4]", "callbacks.progress=null")


def _data_kinds() -> dict[str, Kind]:
    kinds = {}

    def add(
        name: str,
        file: str,
        make: Callable[[Path], None],
        wrong: WrongContent,
        dataset: str,
        *,
        checked: bool,
        **options: Any,
    ) -> None:
        read, command = _dataset(dataset, file, **options)
        kinds[name] = Kind(file, make, read, wrong, checked, command)

    npy = {"x": "x.npy", "y": "y.npy", "weights": "w.npy"}
    add("npz", "data.npz", partial(_write_npz, np.savez), wrong_npz, "npz", checked=True, weights="w")
    add(
        "npz, compressed",
        "data.npz",
        partial(_write_npz, np.savez_compressed),
        wrong_npz,
        "npz",
        checked=True,
    )
    add("npy, inputs", "x.npy", _write_npy, wrong_npy, "npy", checked=False, **npy)
    add("npy, targets", "y.npy", _write_npy, wrong_npy, "npy", checked=False, **npy)
    for suffix, pack in PACKERS.items():
        make = partial(_write_packed, suffix)
        wrong = wrong_csv(pack, packed=bool(suffix))
        add(f"csv{suffix}", f"table.csv{suffix}", make, wrong, "csv", checked=bool(suffix))
    gz = wrong_csv(PACKERS[".gz"], packed=True)
    add(
        "csv.gz in blocks",
        "table.csv.gz",
        partial(_write_packed, ".gz"),
        gz,
        "csv",
        checked=True,
        in_memory=False,
    )
    for name, checksums in (("parquet", False), ("parquet, checksums", True)):
        make = partial(_write_parquet, checksums=checksums)
        add(name, "table.parquet", make, partial(wrong_parquet, huge=True), "parquet", checked=False)
    return kinds


# --- IDX ---------------------------------------------------------------------------------------------

IDX_SHAPE = (20, 4, 4)


def _idx_bytes() -> bytes:
    header = bytes([0, 0, 8, len(IDX_SHAPE)]) + np.array(IDX_SHAPE, ">u4").tobytes()
    return header + np.random.default_rng(0).integers(0, 256, IDX_SHAPE).astype(np.uint8).tobytes()


def _idx() -> Any:
    import importlib

    registries["dataset"]["mnist"]  # loads the plugins
    return importlib.import_module("mlpframe.plugins.dataset._idx")


def _read_idx(folder: Path) -> Any:
    return _idx().parse((folder / "images").read_bytes(), IDX_SHAPE, "images")


def _read_idx_gz(folder: Path) -> Any:
    sha256 = hashlib.sha256(gzip.compress(_idx_bytes(), mtime=0)).hexdigest()
    return _idx().parse(gzip.decompress(_idx().obtain(folder / "images.gz", sha256, [])), IDX_SHAPE, "images")


# --- runs --------------------------------------------------------------------------------------------

RUN = (
    "dataset=iris",
    "model.hidden=[6]",
    "model.activation=tanh",
    "optimizer=adam",
    "schedule=loss_ratio",
    "epochs=3",
    "+callbacks.early_stopping={}",
    "+callbacks.keep_best={}",
    "tracking=none",
    "callbacks.progress=null",
    "log_every=2",
)
TABLE_RUN = ("dataset=csv", "dataset.file=table.csv", *BRIEFLY)


@cache
def _finished(overrides: tuple[str, ...]) -> Path:
    """The folder of a run, with the files that it reads beside it. It is trained once."""
    import atexit
    import os
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="damage-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "table.csv").write_text(_text())
    here = Path.cwd()
    os.chdir(folder)
    try:
        from mlpframe.runs.launch import launch

        words = [word.replace("table.csv", str(folder / "table.csv")) for word in overrides]
        if launch([*words, f"hydra.run.dir={folder / 'run'}"]):
            raise RuntimeError("the run did not finish")
    finally:
        os.chdir(here)
    return folder


def _copy_run(overrides: tuple[str, ...], folder: Path) -> None:
    shutil.copytree(_finished(overrides), folder, dirs_exist_ok=True)


@cache
def _root() -> Any:
    from mlpframe.config import read_root
    from mlpframe.runs.compose import compose

    config = compose(list(RUN))
    return config, read_root(config)


def _continue(folder: Path) -> Any:
    """Continue a run from its checkpoint; returns its state after one block."""
    from mlpframe.runs.build import build_trainer
    from mlpframe.runs.folder import RunFolder
    from mlpframe.runs.request import Request
    from mlpframe.tracking.client import NoTracker

    config, root = _root()
    run = folder / "run"
    root = replace(root, resume=str(run), epochs=4)
    request = Request(config, list(RUN), RunFolder(run))
    trainer = build_trainer(root, request, 1, tracker=NoTracker())
    arrays, meta = trainer.state()
    if not np.isfinite(arrays["w"]).all():
        raise NotFinite("values that are not finite reach the training")
    return [{name: array.copy() for name, array in arrays.items()}, {**meta, "about": None}]


def _predict(folder: Path) -> Any:
    from mlpframe.training.predictor import Predictor

    predictor = Predictor(folder / "run" / "model" / "model.npz")
    prediction = predictor.predict(_frame())
    if not np.isfinite(prediction).all():
        raise NotFinite("predictions that are not finite")
    return [prediction, predictor.predict_frame(_frame()).to_csv(), predictor.encoder.feature_names]


def _predict_old(folder: Path) -> Any:
    from mlpframe.training.predictor import Predictor

    return Predictor(folder / "model.npz").predict(np.ones((3, 4)))


def _copy_old(folder: Path) -> None:
    shutil.copyfile(OLD / "model" / "model.npz", folder / "model.npz")


def _record(folder: Path) -> Any:
    from mlpframe.runs.folder import RunFolder

    return RunFolder(folder / "run").read()


def _write_mlflow(folder: Path) -> None:
    _copy_run(TABLE_RUN, folder)
    entry = {"run_id": "0123456789abcdef" * 2, "experiment_id": "1", "uri": "sqlite:///mlflow.db"}
    (folder / "run" / "mlflow.json").write_text(json.dumps(entry))


def _ids(folder: Path) -> Any:
    from mlpframe.runs.folder import RunFolder

    return RunFolder(folder / "run").mlflow()


def _evaluate(folder: Path) -> Any:
    """Evaluate a run on the rows that its configuration holds out."""
    from mlpframe.runs.evaluating import Committee, held_out
    from mlpframe.runs.folder import RunFolder

    run = RunFolder(folder / "run")
    part, _ = held_out([run], Committee([run]))
    return [part.y, part.notes]


def _history(folder: Path) -> Any:
    from mlpframe.training.history import History

    return list(History.read_csv(folder / "run" / "history" / "history.csv").rows())


BLOCK = 1 << 20
"""The rows that are read at a time."""


def _rows(file: str, folder: Path) -> Any:
    """The rows of a file, as the command ``predict`` reads them."""
    from mlpframe.runs.predicting import read_blocks

    return [np.asarray(block) for block in read_blocks(folder / file, {}, BLOCK)]


def _targets(file: str, folder: Path) -> Any:
    """The rows of a file with their targets, as the command ``evaluate`` reads them."""
    from mlpframe.runs.evaluating import read_part

    part = read_part(folder / file, {}, _predictor())
    return [np.asarray(part.x), part.y]


@cache
def _predictor() -> Any:
    from mlpframe.training.predictor import Predictor

    return Predictor(OLD / "model" / "model.npz")


def _write_labelled(folder: Path) -> None:
    labels = np.array(_predictor().encoder.target.class_names)
    np.savez(folder / "data.npz", x=_arrays()["x"], y=labels[_arrays()["y"]])


def _run_kinds() -> dict[str, Kind]:
    iris, table = partial(_copy_run, RUN), partial(_copy_run, TABLE_RUN)
    predict = ("predict", "run", "table.csv")
    unpacked = wrong_csv(PACKERS[".gz"], packed=True)
    return {
        "IDX": Kind(
            "images",
            lambda folder: _ignore((folder / "images").write_bytes(_idx_bytes())),
            _read_idx,
            wrong_idx,
        ),
        "IDX.gz, SHA-256": Kind(
            "images.gz",
            lambda folder: _ignore((folder / "images.gz").write_bytes(gzip.compress(_idx_bytes(), mtime=0))),
            _read_idx_gz,
            wrong_idx,
            checked=True,
        ),
        "checkpoint": Kind(
            "run/checkpoints/last.npz",
            iris,
            _continue,
            wrong_stored,
            True,
            ("resume=run", "epochs=4", "tracking=none"),
        ),
        "checkpoint's archive": Kind(
            "run/checkpoints/last.npz",
            iris,
            _continue,
            wrong_npz,
            True,
            ("resume=run", "epochs=4", "tracking=none"),
        ),
        "model": Kind("run/model/model.npz", table, _predict, wrong_stored, True, predict),
        "model's archive": Kind("run/model/model.npz", table, _predict, wrong_npz, True, predict),
        "model of 0.1": Kind("model.npz", _copy_old, _predict_old, wrong_npz),
        "run.json": Kind(
            "run/run.json", table, _record, wrong_json, command=("evaluate", "run", "--repeats", "0")
        ),
        "mlflow.json": Kind(
            "run/mlflow.json", _write_mlflow, _ids, wrong_json, command=("predict", "run", "table.csv")
        ),
        "config.yaml": Kind(
            "run/config/config.yaml",
            table,
            _evaluate,
            wrong_yaml,
            command=("evaluate", "run", "--repeats", "0"),
        ),
        "history.csv": Kind("run/history/history.csv", table, _history, wrong_history),
        "predict: npz": Kind(
            "data.npz", partial(_write_npz, np.savez), partial(_rows, "data.npz"), wrong_npz
        ),
        "predict: npy": Kind("x.npy", _write_npy, partial(_rows, "x.npy"), wrong_npy),
        "predict: csv.gz": Kind(
            "table.csv.gz", partial(_write_packed, ".gz"), partial(_rows, "table.csv.gz"), unpacked, True
        ),
        "predict: parquet": Kind(
            "table.parquet",
            partial(_write_parquet, checksums=False),
            partial(_rows, "table.parquet"),
            partial(wrong_parquet, huge=False),
        ),
        "evaluate: npz": Kind("data.npz", _write_labelled, partial(_targets, "data.npz"), wrong_npz, True),
    }


def _ignore(_: object) -> None:
    return None


def kinds() -> dict[str, Kind]:
    """Every kind of file by its name."""
    from mlpframe.discovery import load_plugins

    load_plugins()
    return {**_data_kinds(), **_run_kinds()}


def fingerprint(value: Any) -> str:
    """A text that is equal for equal results, to the bit."""
    digest = hashlib.sha256()

    def add(item: Any) -> None:
        if isinstance(item, np.ndarray) and item.dtype.kind != "O":
            digest.update(f"{item.dtype}{item.shape}".encode() + item.tobytes())
        elif isinstance(item, np.ndarray):
            add(item.tolist())
        elif isinstance(item, Mapping):
            add([[key, item[key]] for key in item])
        elif isinstance(item, list | tuple):
            digest.update(f"[{len(item)}".encode())
            for each in item:
                add(each)
        else:
            digest.update(repr(item).encode() + b"\0")

    add(value)
    return digest.hexdigest()
