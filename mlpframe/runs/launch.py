"""The command without a name: run one experiment or a sweep, or show what a flag of Hydra asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..registry import UsageError
from .finding import find_run, find_unfinished
from .folder import CHECKPOINT, MODEL, SWEEP, RunFolder
from .keys import check, components
from .overrides import COMPLETION, MULTIRUN, CommandLine, Override
from .request import take_folds, take_replicas


def launch(arguments: Sequence[str]) -> int:
    """Carry out a command line of flags and overrides. Returns the exit status.

    Raises:
        UsageError: the request is wrong; nothing was started, and no files are left behind.
    """
    replicas, line = take_replicas(take_folds(CommandLine.parse(arguments)))
    continues = False
    completes = any(flag in COMPLETION for flag in line.flags)  # then the line may be incomplete
    if not completes:
        check(line.overrides, sweep=line.is_sweep)
        sweep = _named_sweep(line.last("resume"))
        if sweep is None:
            line = _started_from(_continued(line))
        else:
            replicas, line, continues = *_continued_stack(sweep, line), True
    from .compose import prepare_hydra  # imports Hydra, which takes long; a wrong request has failed by now
    from .sweep import new_session

    prepare_hydra(None if line.is_sweep or completes else components(line.overrides))
    with new_session(replicas, continues=continues) as session:
        return session.run(line.for_hydra())


def _continued(line: CommandLine) -> CommandLine:
    """The command line with the overrides and the folder of the run that ``resume`` names."""
    resume = line.last("resume")
    if resume in (None, "", "null"):
        return line
    if resume != "auto" and line.last("start_from") not in (None, "null"):
        raise UsageError(f"resume={resume} continues with the run's own weights: leave out start_from")
    new_overrides = line.without("resume")
    folder = _named(str(resume), new_overrides)
    if folder is None:
        return line
    folder_overrides = [
        Override("", "resume", str(folder.path)),
        Override("", "hydra.run.dir", str(folder.path)),
    ]
    return replace(line, overrides=[*_with_recorded(folder, new_overrides), *folder_overrides])


def _with_recorded(folder: RunFolder, new_overrides: Sequence[Override]) -> list[Override]:
    """The overrides that a run or sweep was begun with, and those that its continuation adds or replaces."""
    keys = {override.key for override in new_overrides}
    old_overrides = [Override.parse(text) for text in folder.read()["overrides"]]
    return [*(override for override in old_overrides if override.key not in keys), *new_overrides]


def _named_sweep(resume: str | None) -> RunFolder | None:
    """The folder of the sweep that ``resume`` names; ``None`` if it does not name the folder of a sweep."""
    folder = RunFolder(Path(resume or "."), SWEEP)
    return folder if resume and folder.record.is_file() else None


def _continued_stack(sweep: RunFolder, line: CommandLine) -> tuple[int, CommandLine]:
    """How many runs a sweep trains together, and the command line that continues the sweep.

    Raises:
        UsageError: the sweep trains its runs one by one, or its record is damaged.
    """
    replicas = sweep.settled().get("replicas")
    if not isinstance(replicas, int) or replicas < 2:
        raise UsageError(
            f"resume={line.last('resume')}: this folder holds runs that were not trained together "
            "(replicas=R); expected one of them"
        )
    folder = Override("", "hydra.sweep.dir", str(sweep.path))
    overrides = _with_recorded(sweep, line.without("resume"))
    return replicas, CommandLine([MULTIRUN[0], *line.flags], [*overrides, folder])


def _started_from(line: CommandLine) -> CommandLine:
    """The command line with the run's folder in place of ``latest`` in ``start_from=latest``.

    With ``latest``, the second job of a sweep would start from the first job, which is then the latest run.
    """
    if line.last("start_from") != "latest" or line.last("resume") not in (None, "", "null"):
        return line
    try:
        folder = find_run("latest", needs=MODEL)
    except UsageError as error:
        raise UsageError(f"start_from={error}") from error
    name = Override("", "start_from", "/".join(folder.path.parts[-2:]))
    return replace(line, overrides=[*line.without("start_from"), name])


def _named(resume: str, overrides: Sequence[Override]) -> RunFolder | None:
    """The folder of the run to continue; ``None`` if ``auto`` finds no run."""
    if resume == "auto":
        return find_unfinished([str(override) for override in overrides])
    try:
        return find_run(resume, needs=CHECKPOINT)
    except UsageError as error:
        raise UsageError(f"resume={error}") from error
