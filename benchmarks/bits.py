"""Train small networks with two revisions, and compare the files of the runs bit by bit."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .revisions import NEW, OLD, Probe, Revision
from .writing import Table

Arrays = dict[str, NDArray[Any]]
Components = Mapping[str, Mapping[str, list[dict[str, Any]]]]
"""The example options of every component (its class attribute ``examples``), by kind and name."""

COMMON = ["tracking=none", "callbacks.progress=null", "threads=1", "epochs=6", "batch_size=4"]
DATA = {"classes": [], "values": ["loss=mse", "dataset.scale_target=false"], "images": []}
"""The names of the data sets to train on, and the settings that each of them needs."""
SETTINGS = (
    "model.hidden=[3]",
    "engine=online optimizer=momentum",
    "engine=online optimizer=nesterov optimizer.weight_decay=0.01",
    "dtype=float64",
    "shuffle=false",
    "dataset.scaling=none dataset.validation=0",
    "model.hidden=[200,200] optimizer=adam",
    "optimizer.weight_decay=0.01",
    "optimizer=adam optimizer.weight_decay=0.01 optimizer.decoupled=true",
    "optimizer.clip_norm=0.1 optimizer.clip_value=0.05",
    "optimizer.rates={*.b:0.5}",
)
"""Settings to compare in addition to every component's own options; each line is one training."""
SWEEPS = {
    "data sets": ["-m", "dataset=breast_cancer,digits,iris,wine", "epochs=2"],
    "stack": ["replicas=3", "dataset=iris", "epochs=5"],
    "stack of rates": ["-m", "replicas=4", "lr=0.1,0.02", "seed=0,1", "optimizer=momentum", "epochs=2"],
}
"""Command lines that train several runs."""


@dataclass(frozen=True)
class Case:
    """A small network to train: tested component, its options as text, key of ``DATA``, all settings."""

    component: str
    variant: str
    data: str
    overrides: list[str]


@dataclass(frozen=True)
class Difference:
    """The largest differences between two runs, as text: in weights and other state, and in the history.

    An empty text means that all bits are equal. ``unmatched``: the arrays that only one of the runs has.
    """

    weights: str
    history: str = ""
    unmatched: frozenset[str] = frozenset()


def compare_bits(folder: Path, sides: Mapping[str, Revision], probes: Mapping[str, Probe]) -> list[Table]:
    """Train every case with both revisions.

    Returns a table of the runs that differ, and a table of the components that could not be compared.
    """
    _write_data(folder)
    components = {side: probe.about["components"] for side, probe in probes.items()}
    names = {side: _names(components[side]) for side in components}
    differences: dict[str, Difference] = {}
    tried, trained = set(), set()
    for case in _cases(components[OLD], names[OLD] & names[NEW]):
        tried.add(case.component)
        overrides = [*COMMON, *case.overrides]
        runs = [probes[side].fit(folder / f"{case.data}.npz", overrides) for side in (OLD, NEW)]
        if runs != [None, None]:
            trained.add(case.component)
            differences[f"{case.component} {case.variant}".strip()] = _difference(*runs)
    for name, arguments in SWEEPS.items():
        jobs = [_sweep(sides[side], folder / f"{side} {name}", arguments) for side in (OLD, NEW)]
        for job in sorted(jobs[0].keys() | jobs[1]):
            differences[f"{name}: run {job}"] = _difference(jobs[0].get(job), jobs[1].get(job))
    differing = [(name, d.weights, d.history) for name, d in differences.items() if d.weights or d.history]
    title = f"The same bits: {len(differing)} of {len(differences)} runs differ, at most by"
    headings = ("run", "weights and other state", "history")
    unmatched = set().union(*(d.unmatched for d in differences.values()))
    alone = [
        ("only old has", ", ".join(sorted(names[OLD] - names[NEW]))),
        ("only new has", ", ".join(sorted(names[NEW] - names[OLD]))),
        ("neither revision trains with", ", ".join(sorted(tried - trained))),
        ("arrays that only one revision saves", ", ".join(sorted(unmatched))),
    ]
    return [Table(title, headings, differing), Table("Not compared", ("", "components"), alone)]


def _write_data(folder: Path) -> None:
    rng = np.random.default_rng(0)
    x, classes = rng.standard_normal((60, 6)), rng.integers(0, 3, 60)
    np.savez(folder / "classes.npz", x=x, y=classes)
    np.savez(folder / "values.npz", x=x, y=rng.random((60, 3)))
    np.savez(folder / "images.npz", x=rng.random((60, 8, 8)), y=classes)


def _names(components: Components) -> set[str]:
    return {f"{kind} {name}" for kind, names in components.items() for name in names}


def _cases(components: Components, shared: set[str]) -> Iterator[Case]:
    """The cases to train: all ``SETTINGS``; then, for every component that both revisions have, its defaults
    and its example options.
    """
    for settings in SETTINGS:
        yield Case(settings, "", "classes", settings.split())
    for component in sorted(shared):
        kind, name = component.split(" ")
        fitting = {"loss": ["classes", "values"], "metric": ["classes", "values"], "transform": ["images"]}
        for options in ({}, *components[kind][name]):
            overrides = _overrides(kind, name, options)
            for data in fitting.get(kind, ["classes"]) if overrides else []:
                variant = f"{_written(options) if options else ''} on {data}".strip()
                yield Case(component, variant, data, [*DATA[data], *overrides])


def _overrides(kind: str, name: str, options: Mapping[str, Any]) -> list[str]:
    """Settings that train a small network with a component; an empty list if the kind is not compared."""
    component = _written({"name": name, **options})
    match kind:
        case "layer":
            return ["model=layers", f"model.layers=[{{name:linear,units:6}},{component},linear]"]
        case "initializer":
            return [f"model.init={component}"]
        case "transform" | "metric":
            return [f"{kind}s.{name}={_written(options)}"]
        case "engine":
            return [f"engine={name}"]
        case "loss":
            chosen = [f"loss={name}", "model.output=softmax"]
        case "optimizer":
            chosen = [f"optimizer={name}", "engine=numpy"]
        case "schedule":
            chosen = [f"schedule={name}"]
        case _:
            return []
    return [*chosen, *(f"{kind}.{option}={_written(value)}" for option, value in options.items())]


def _written(value: Any) -> str:
    """Write a value in Hydra's grammar, which is JSON with unquoted keys."""
    return re.sub(r'"(\w+)": ', r"\1:", json.dumps(value))


def _sweep(side: Revision, folder: Path, arguments: list[str]) -> dict[str, Path]:
    """Run a command line of several runs. Returns the folder of every run, by the run's number."""
    folder.mkdir()
    side.seconds(folder, "-m", "mlpframe", *arguments, "tracking=none", "threads=1")
    runs = [file.parents[1] for file in folder.glob("outputs/**/history/history.csv")]
    return {run.name: run for run in runs}


def _difference(old: Path | None, new: Path | None) -> Difference:
    """Compare the files of two runs; ``None``: this revision could not train."""
    if old is None or new is None:
        return Difference(f"only {OLD if new is None else NEW} trains")
    before, after = _arrays(old), _arrays(new)
    history = _largest(_timeless(read_history(old)), _timeless(read_history(new)))
    return Difference(_largest(before, after), history, frozenset(before.keys() ^ after.keys()))


def _arrays(run: Path) -> Arrays:
    """The arrays in a run's model and checkpoint, by file and name, without the history."""
    arrays: Arrays = {}
    for file in ("model/model.npz", "checkpoints/last.npz"):
        with np.load(run / file) as stored:
            own = [name for name in stored.files if not name.startswith(("meta", "history/"))]
            arrays |= {f"{file}: {name}": stored[name] for name in own}
    return arrays


def read_history(run: Path) -> Arrays:
    """Every metric of a run, as an array with a column of steps and a column of values."""
    rows: dict[str, list[tuple[float, float]]] = {}
    with (run / "history" / "history.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["metric"], []).append((float(row["step"]), float(row["value"])))
    return {metric: np.array(values) for metric, values in rows.items()}


def _timeless(history: Arrays) -> Arrays:
    return {metric: values for metric, values in history.items() if not metric.startswith("time/")}


def _largest(old: Arrays, new: Arrays) -> str:
    """The largest difference between arrays of the same name, with that name; empty if all bits are equal."""
    different: dict[str, float] = {}
    for name in old.keys() & new.keys():
        a, b = old[name], new[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"shape or type differs ({name})"
        if a.tobytes() != b.tobytes():
            different[name] = float(np.abs(a.astype(float) - b).max())
    if not different:
        return ""
    name = max(different, key=different.__getitem__)
    return f"{different[name]:.1e} ({name})"
