"""What is asked for: one experiment, and with ``replicas=R`` which runs are trained together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ..api import Dataset
from ..registry import UsageError
from .folder import RunFolder
from .overrides import MULTIRUN

KEY = "replicas"
OWN = ("seed", "lr", "run_name", "tags")
"""What may differ between runs that are trained together."""


@dataclass(frozen=True)
class Request:
    """One experiment to run.

    Args:
        config: composed, not yet checked.
        overrides: what a person has set, for the record.
        folder: where the run leaves its files.
        dataset: of the configuration, if somebody has made it already.
    """

    config: DictConfig
    overrides: Sequence[str]
    folder: RunFolder
    dataset: Dataset | None = None


def take_replicas(arguments: Sequence[str]) -> tuple[int, list[str]]:
    """How many runs are trained together, and the command line as a sweep over seeds.

    ``replicas=R`` is a sweep over R seeds from the one given, or from 0; where the command sweeps over seeds
    itself, R of its runs at a time are trained together.

    Raises:
        UsageError: ``replicas`` is not a number, or the runs are to be in processes of their own.
    """
    given = [argument for argument in arguments if _key(argument) == KEY]
    rest = [argument for argument in arguments if argument not in given]
    if not given or any(argument.startswith("-") and argument not in MULTIRUN for argument in rest):
        return 1, rest  # a flag shows something, it does not run
    value = given[-1].partition("=")[2]
    if not value.isdecimal() or int(value) < 1:
        raise UsageError(f"replicas={value}: expected a number of runs to train together, at least 1")
    for other in ("hydra/launcher", "resume"):
        if other in map(_key, rest):
            raise UsageError(f"replicas={value} trains new runs in one process; it cannot go with {other}=")
    seeds = [argument for argument in rest if _key(argument) == "seed"]
    seed = seeds[-1].partition("=")[2] if seeds else "0"
    if seed.isdecimal():
        rest = [argument for argument in rest if argument not in seeds]
        rest.append(f"seed=range({seed},{int(seed) + int(value)})")
    elif not set(seed) & set(",("):
        raise UsageError(f"seed={seed}: expected a whole number, at least 0, or several")
    if not set(MULTIRUN) & set(rest):
        rest.append(MULTIRUN[0])
    return int(value), rest


def _key(argument: str) -> str:
    return argument.lstrip("+").partition("=")[0]


def in_groups(requests: Sequence[Request], most: int) -> list[list[Request]]:
    """The requests that differ in seed and rate alone, up to ``most`` at a time."""
    alike: dict[str, list[Request]] = {}
    for request in requests:
        config: Any = OmegaConf.to_container(request.config)
        key = json.dumps({name: config[name] for name in config if name not in OWN}, default=str)
        alike.setdefault(key, []).append(request)
    return [group[start : start + most] for group in alike.values() for start in range(0, len(group), most)]
