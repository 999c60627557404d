"""Select the runs to compare, and label their groups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...outputs import OUTPUTS
from ...registry import UsageError, nearest
from ...runs.folder import STATUS, RunFolder

if TYPE_CHECKING:
    from ...analysis.comparison import Group
    from ...tracking.reading import RunStore, StoredRun


METRICS = ("test/accuracy", "val/accuracy", "val/r2", "val/loss")
"""Without ``--metric``, the first of these metrics that all runs have is compared."""

LABELED = re.compile(r"""(?P<label>[^=<>!'"`]*[^=<>!'"`\s])=(?P<argument>[^\s'"=].*)""")

FIELD = re.compile(r"(params?|parameters?|metrics?|tags?|attributes?|attr|run|datasets?)\.")
"""The beginning of a field in a filter of MLflow. A word that begins with a field, such as ``params.lr=…``,
is a filter. In any other word, the text before ``=`` is a group's label."""

OPERATOR = re.compile(r"[=<>]|\b(like|ilike|in|is)\b", re.IGNORECASE)

LONGEST = 60
"""The largest number of letters of a label made from settings. If a label would be longer, the words of the
command line are the labels."""


def read_groups(store: RunStore, arguments: Sequence[str], notes: list[str]) -> dict[str, list[StoredRun]]:
    """The finished runs that the arguments select, by label. Adds a note about runs that are left out.

    Raises:
        UsageError: an argument selects no run, a run is in two groups, or too few groups have finished runs.
    """
    selected: dict[str, list[StoredRun]] = {}
    named = set()
    for word in arguments:
        label, argument = _split_label(word)
        if label:
            named.add(label)
        selected.setdefault(label or word, []).extend(_find(store, argument))
    groups = {label: list({run.id: run for run in runs}.values()) for label, runs in selected.items()}
    if len(groups) == 1 and not named:
        (runs,) = groups.values()
        parts = _by_settings(runs)
        groups = {label or "all": part for label, part in zip(_labels(parts), parts, strict=True)}
    else:
        _refuse_shared(groups)
        group_labels = zip(groups, _labels(list(groups.values())), strict=True)
        labels = [word if word in named else label for word, label in group_labels]
        if all(labels) and len(set(labels)) == len(labels) and max(map(len, labels)) <= LONGEST:
            groups = dict(zip(labels, groups.values(), strict=True))
        for label, runs in groups.items():
            if varying := _varying(runs):
                notes.append(
                    f"{label}: the runs of this group differ in more than the seed: {', '.join(varying)}"
                )
    finished = {}
    for label, runs in groups.items():
        unfinished = Counter(run.status for run in runs if run.status != STATUS["finished"])
        if unfinished:
            counts = ", ".join(f"{number} {status}" for status, number in unfinished.items())
            notes.append(f"{label}: left out runs that did not finish: {counts}")
        if finished_runs := [run for run in runs if run.status == STATUS["finished"]]:
            finished[label] = finished_runs
    if len(finished) < min(2, len(groups)):
        without = ", ".join(label for label in groups if label not in finished)
        raise UsageError(f"only finished runs are compared, and there is no finished run of {without}")
    return finished


def read_values(groups: Mapping[str, Sequence[StoredRun]], metric: str, notes: list[str]) -> list[Group]:
    """The groups with their values of a metric, keyed by seed if all runs of a group have different seeds.

    Two runs with equal settings and seed are not independent, so only the newer run counts. For a metric that
    is a time, both runs count, because every run measures its time anew.

    Raises:
        UsageError: a group has no value of the metric.
    """
    from ...analysis.comparison import Group

    value_groups = []
    for label, runs in groups.items():
        with_metric = [run for run in runs if isfinite(run.metrics.get(metric, nan))]
        if not with_metric:
            metric_names = {name for members in groups.values() for run in members for name in run.metrics}
            raise UsageError(
                f"--metric {metric}: no run of {label} has this metric; {nearest(metric, metric_names)}"
            )
        if len(with_metric) < len(runs):
            notes.append(
                f"{label}: {metric} is missing in {len(runs) - len(with_metric)} of {len(runs)} runs"
            )
        newest = with_metric
        if not metric.startswith("time/"):
            newest = list({_identity(run): run for run in with_metric}.values())
        if len(newest) < len(with_metric):
            notes.append(f"{label}: left out runs that a newer run repeats: {len(with_metric) - len(newest)}")
        seeds = [run.params.get("seed") for run in newest]
        unique = None not in seeds and len(set(seeds)) == len(seeds)
        value_groups.append(
            Group(label, {run.params["seed"] if unique else run.id: run.metrics[metric] for run in newest})
        )
    return value_groups


def _split_label(word: str) -> tuple[str | None, str]:
    """Split ``label=argument``. The label is optional, and a folder or filter may contain ``=`` itself."""
    match = LABELED.fullmatch(word)
    if match is None or FIELD.match(word) or Path(word).exists():
        return None, word
    return match["label"], match["argument"]


def _find(store: RunStore, argument: str) -> list[StoredRun]:
    """The runs that an argument without its label selects."""
    if Path(argument).is_dir():
        return _members(store, store.starting_with(_recorded_id(store, Path(argument))))
    if re.fullmatch("[0-9a-f]{1,32}", argument):
        return _members(store, store.starting_with(argument))
    if OPERATOR.search(argument):
        runs = [run for run in store.search(argument) if not run.is_sweep]
        if not runs:
            raise UsageError(
                f"no run in {store.uri} matches the filter {argument}{_misspelled(store, argument)}"
            )
        return runs
    known = [str(path) for part in ("runs", "sweeps") for path in OUTPUTS.glob(f"{part}/*/*")]
    raise UsageError(
        f"{argument!r} is not a run's id, a run's folder or a filter such as \"params.lr = '0.1'\"; "
        f"folders: {nearest(argument, known)}"
    )


def _members(store: RunStore, run: StoredRun) -> list[StoredRun]:
    children = store.children(run)
    if run.is_sweep and not children:
        raise UsageError(f"{run.id}: no run of this sweep is in {store.uri}")
    return children or [run]


def _recorded_id(store: RunStore, folder: Path) -> str:
    """The id of the MLflow run that recorded the run in ``folder``."""
    recorded = RunFolder(folder).mlflow()
    if not recorded:
        raise UsageError(
            f"{folder} has no MLflow run; expected the folder of a recorded run or sweep under {OUTPUTS}/"
        )
    if recorded["uri"] != store.uri:
        raise UsageError(f"{folder} was recorded in another store; give --uri {recorded['uri']}")
    return recorded["run_id"]


def _misspelled(store: RunStore, argument: str) -> str:
    """The end of an error message if a filter finds no run: the first name in the filter that no run has."""
    runs = store.search()
    for kind in ("params", "metrics", "tags"):
        known = {name for run in runs for name in getattr(run, kind)}
        for quoted, plain in re.findall(rf"\b{kind}\.(?:[`\"]([^`\"]+)[`\"]|([^\s=<>!`\"]+))", argument):
            name = quoted or plain
            if name not in known:
                return f"; no run has {name!r} in its {kind}; {nearest(name, known)}"
    return ""


def _refuse_shared(groups: Mapping[str, Sequence[StoredRun]]) -> None:
    owner: dict[str, str] = {}
    for label, runs in groups.items():
        for run in runs:
            if run.id in owner:
                raise UsageError(
                    f"run {run.id} is in two groups, {owner[run.id]} and {label}; expected it in one group"
                )
            owner[run.id] = label


def _identity(run: StoredRun) -> Any:
    """A key that is equal for runs with equal settings and seed."""
    return frozenset(run.params.items()) if "seed" in run.params else run.id


def _by_settings(runs: Sequence[StoredRun]) -> list[list[StoredRun]]:
    """Group the runs that differ only in the seed."""
    parts: dict[Any, list[StoredRun]] = {}
    for run in runs:
        settings = frozenset(item for item in run.params.items() if item[0] != "seed")
        parts.setdefault(settings, []).append(run)
    return list(parts.values())


def _varying(runs: Sequence[StoredRun]) -> list[str]:
    """The settings, except the seed, in which the runs differ."""
    names = dict.fromkeys(name for run in runs for name in run.params if name != "seed")
    return [name for name in names if len({run.params.get(name) for run in runs}) > 1]


def _labels(groups: Sequence[Sequence[StoredRun]]) -> list[str]:
    """Label each group by the settings that its runs share and that distinguish it from the other groups.

    If possible, a label names only settings that all runs have. Options that only some runs have, such as
    those of one optimizer, are named only if the labels would otherwise be equal.
    """
    runs = [run for group in groups for run in group]
    varying = _varying(runs)
    common = [name for name in varying if all(name in run.params for run in runs)]
    labels: list[str] = []
    for names in (common, varying):
        labels = []
        for group in groups:
            values = {name: {run.params.get(name) for run in group} for name in names}
            shared_values = {
                name: value for name, (value, *more) in values.items() if value is not None and not more
            }
            text = [v if name.endswith(".name") else f"{name}={v}" for name, v in shared_values.items()]
            labels.append(" ".join(text))
        if len(set(labels)) == len(labels):
            break
    return labels


def usual_metric(groups: Mapping[str, Sequence[StoredRun]]) -> str:
    shared = set.intersection(*(set(run.metrics) for runs in groups.values() for run in runs))
    for metric in METRICS:
        if metric in shared:
            return metric
    raise UsageError(
        f"the runs share none of the metrics {', '.join(METRICS)}: give --metric; "
        f"metrics that all runs have: {', '.join(sorted(shared)) or 'none'}"
    )
