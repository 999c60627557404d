"""A request to run an experiment. With ``replicas=R``, runs are grouped to be trained together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..api import Dataset
from ..registry import UsageError
from .folder import RunFolder
from .overrides import FOLD, MULTIRUN, CommandLine, Override

if TYPE_CHECKING:
    from omegaconf import DictConfig

KEY = "replicas"
FOLDS = "folds"
MAY_DIFFER = ("seed", "lr", "run_name", "tags", "resume")
"""The settings that may differ between runs that are trained together."""


@dataclass(frozen=True)
class Request:
    """One experiment to run.

    Args:
        config: the composed configuration, not yet checked.
        overrides: the settings that a person gave; they are recorded with the run.
        folder: the folder that the run writes its files into.
        dataset: the configuration's dataset, if it has been created already.
        explains: whether the run prints how it has read the columns of the user's table. In a sweep, only the
            first job prints this.
    """

    config: DictConfig
    overrides: Sequence[str]
    folder: RunFolder
    dataset: Dataset | None = None
    explains: bool = True


def take_replicas(line: CommandLine) -> tuple[int, CommandLine]:
    """The number of runs to train together, and the command line rewritten as a sweep over seeds.

    ``replicas=R`` sweeps over R consecutive seeds, from the given seed or from 0. If the command already
    sweeps over seeds, its runs are trained together in groups of R.

    Raises:
        UsageError: ``replicas`` is not a number, or it is combined with a launcher or with ``resume``.
    """
    value = line.last(KEY)
    other_overrides = line.without(KEY)
    if value is None or line.only_shows:
        return 1, replace(line, overrides=other_overrides)
    if not value.isdecimal() or int(value) < 1:
        raise UsageError(f"replicas={value}: expected a number of runs to train together, at least 1")
    for conflicting_key in ("hydra/launcher", "resume"):
        if line.last(conflicting_key) is not None:
            raise UsageError(
                f"replicas={value} trains new runs in one process, so {conflicting_key}= cannot be set"
            )
    seed = line.last("seed") or "0"
    if seed.isdecimal():
        seeds = Override("", "seed", f"range({seed},{int(seed) + int(value)})")
        other_overrides = [*(override for override in other_overrides if override.key != "seed"), seeds]
    elif not set(seed) & set(",("):
        raise UsageError(f"seed={seed}: expected a whole number, at least 0, or a list of seeds")
    flags = line.flags if line.is_sweep else [MULTIRUN[0], *line.flags]
    return int(value), CommandLine(flags, other_overrides)


def take_folds(line: CommandLine) -> CommandLine:
    """The command line with ``folds=K`` rewritten as a sweep over the K folds of a cross-validation.

    Raises:
        UsageError: ``folds`` is not a number of at least 2, or it is combined with ``resume``.
    """
    value = line.last(FOLDS)
    others = line.without(FOLDS)
    if value is None or line.only_shows:
        return replace(line, overrides=others)
    if not value.isdecimal() or int(value) < 2:
        raise UsageError(f"folds={value}: expected the number of folds of a cross-validation, at least 2")
    if line.last("resume") is not None:
        raise UsageError(f"folds={value} trains new runs, so resume= cannot be set")
    folds = [Override("", f"dataset.{FOLDS}", value), Override("", FOLD, f"range({value})")]
    flags = line.flags if line.is_sweep else [MULTIRUN[0], *line.flags]
    return CommandLine(flags, [*others, *folds])


def in_groups(requests: Sequence[Request], most: int) -> list[list[Request]]:
    """Group the requests that differ only in the settings in ``MAY_DIFFER``, at most ``most`` to a group."""
    from omegaconf import OmegaConf

    groups: dict[str, list[Request]] = {}
    for request in requests:
        config: Any = OmegaConf.to_container(request.config)
        key = json.dumps({name: config[name] for name in config if name not in MAY_DIFFER}, default=str)
        groups.setdefault(key, []).append(request)
    return [group[start : start + most] for group in groups.values() for start in range(0, len(group), most)]
