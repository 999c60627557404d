"""The command line: a command by name, or an experiment composed by Hydra."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .discovery import beside_or_inside, load_plugins
from .registry import UsageError, nearest, registries
from .runs.overrides import MULTIRUN
from .tracking.client import worker

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from .runs.train import Outcome


def main() -> None:
    """Run the command in ``sys.argv`` and exit with its status."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments or bool(os.environ.get("HYDRA_FULL_ERROR"))
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        status = run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except Exception as error:
        message = explain(error, arguments)
        if message is None:
            raise
        if debug:
            traceback.print_exc()
        print(message, file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line; returns the exit status."""
    named = bool(arguments) and not arguments[0].startswith(("-", "+", "~")) and "=" not in arguments[0]
    flags = [argument for argument in arguments if argument.startswith("-") and argument not in MULTIRUN]
    if not named and not flags and "tracking=none" not in arguments:
        worker()  # importing MLflow takes longer than composing the configuration and reading the data
    load_plugins()
    for broken in registries.broken:
        print(f"plugin {broken.file} could not be loaded: {broken.error}", file=sys.stderr)
    return _command(arguments) if named else _experiment(list(arguments))


def _command(arguments: Sequence[str]) -> int:
    import click

    from .commands import commands

    group = click.Group("mlpframe", commands=commands())
    if arguments[0] not in group.commands:
        raise UsageError(
            f"{arguments[0]!r} is neither a command nor key=value; {nearest(arguments[0], group.commands)}"
        )
    try:
        return int(group.main(list(arguments), "mlpframe", standalone_mode=False) or 0)
    except click.ClickException as error:
        raise UsageError(f"{arguments[0]}: {error.format_message()}") from error


def _experiment(arguments: list[str]) -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach ``explain`` instead of Hydra's printer
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from .runs import sweep
    from .runs.compose import prepare_hydra
    from .runs.folder import RunFolder
    from .runs.request import Request, in_groups, take_replicas

    prepare_hydra()
    together, arguments = take_replicas(arguments)
    sys.argv = [sys.argv[0], *_prepare_overrides(arguments)]
    outcomes: list[Outcome] = []
    refused: list[Exception] = []
    waiting: list[Request] = []

    def attempt(requests: Sequence[Request], jobs: int, mode: RunMode) -> None:
        """Train; what goes wrong with jobs of a sweep is their outcome, and the others go on."""
        from .runs.train import Outcome, train

        try:
            made = train(requests, jobs)
        except Exception as error:
            if mode == RunMode.RUN:
                raise
            reason = explain(error, requests[0].overrides) or repr(error)
            made = [Outcome("failed", error=reason) for _ in requests]
            for request in requests:
                request.folder.write(status="failed", overrides=request.overrides, error=reason)
        outcomes.extend(made)
        interrupted = next((one for one in made if one.status == "interrupted"), None)
        if interrupted and mode == RunMode.MULTIRUN:
            raise SystemExit(interrupted.exit_code)  # it is the sweep that was asked to stop

    def job(config: DictConfig) -> float | None:
        load_plugins()  # in a process that a launcher has started
        settings = HydraConfig.get()
        mode = settings.mode or RunMode.RUN
        folder = RunFolder(Path(settings.runtime.output_dir))
        request = Request(config, sweep.own_overrides(settings.overrides.task), folder)
        if together > 1:
            waiting.append(request)
            return None
        try:
            attempt([request], _jobs_at_once(settings), mode)
        except KeyboardInterrupt:  # before the run has started
            folder.remove_if_unused(sweep.new_folders)
            raise
        except Exception as error:
            folder.remove_if_unused(sweep.new_folders)
            refused.append(error)  # raised through Hydra it would print more than the reason
            return None
        return outcomes[-1].metrics.get("val/loss")

    command = hydra.main(config_path=str(beside_or_inside("conf")), config_name="config", version_base="1.3")
    try:
        command(job)()
        for group in in_groups(waiting, together):
            attempt(group, 1, RunMode.MULTIRUN)
    except BaseException as error:
        for request in waiting:  # those that were not begun
            request.folder.remove_if_unused([request.folder.path])
        for started in sweep.launched:
            if not started.discard_if_unused() and isinstance(error, SystemExit | KeyboardInterrupt):
                sweep.end_sweep(started, interrupted=True)
        raise
    if refused:
        raise refused[0]
    if sweep.launched:
        return sweep.end_sweep(sweep.launched[-1])
    if outcomes and outcomes[0].error:
        print(f"{outcomes[0].status}: {outcomes[0].error}", file=sys.stderr)
    return outcomes[0].exit_code if outcomes else 0


def _jobs_at_once(settings: Any) -> int:
    """How many jobs Hydra's launcher runs side by side on this machine."""
    number = int(settings.launcher.get("n_jobs") or 1)
    return number if number > 0 else os.cpu_count() or 1


def _prepare_overrides(arguments: list[str]) -> list[str]:
    """What Hydra is given: naming an entry of an open dictionary adds it; ``resume`` finds its run."""
    from hydra._internal.utils import get_args_parser

    from .runs.compose import check_groups
    from .runs.finding import find_folder
    from .runs.overrides import as_override
    from .runs.sweep import own_overrides

    flags = [flag for action in get_args_parser()._actions for flag in action.option_strings]
    for argument in arguments:
        flag = argument.partition("=")[0]
        if argument.startswith("--") and flag not in flags:
            raise UsageError(f"there is no option {flag}; settings are key=value; {nearest(flag, flags)}")
    check_groups(arguments)

    resume = next((a.partition("=")[2] for a in arguments if a.startswith("resume=")), None)
    if resume and resume != "null":
        rest = [argument for argument in arguments if not argument.startswith("resume=")]
        found = find_folder(resume, own_overrides(rest))
        if found is not None:
            given = {argument.partition("=")[0] for argument in rest}
            before = [o for o in found.read()["overrides"] if o.partition("=")[0] not in given]
            arguments = [*before, *rest, f"resume={found.path}", f"hydra.run.dir={found.path}"]
    multirun = [argument for argument in arguments if argument in ("-m", "--multirun")]
    rest = [argument for argument in arguments if argument not in multirun]  # Hydra wants its flag first
    return multirun + [as_override(one) for one in rest]


def explain(error: Exception, arguments: Sequence[str]) -> str | None:
    """One to three lines about a wrong request; ``None`` if the error is not the request's."""
    if isinstance(error, UsageError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"this does not fit into the memory: {error}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be used: {error.strerror}"
    if type(error).__module__.partition(".")[0] not in ("hydra", "omegaconf"):
        return None
    from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
    from omegaconf import MissingMandatoryValue

    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} must be given"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and "/" in error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        if group in registries and any(broken.name == name for broken in registries.broken):
            return _message(lambda: registries[group][name])
        return f"{group}={name}: there is no {group} {name!r}; {nearest(name, error.options or ())}"
    cause = error.__cause__
    if isinstance(error, ConfigCompositionException):
        text = str(error).splitlines()[0]
        if cause is not None and text.startswith("Error merging override"):
            given = text.removeprefix("Error merging override ").removeprefix("++")
            return f"{given}: {str(cause).splitlines()[0]}"
        if text.startswith("Could not override"):
            key = text.split("'")[1]
            return f"there is no key {key!r}; {_nearest_key(key, arguments)}"
    if isinstance(error, OverrideParseException):
        reason = next(line for line in str(error).splitlines() if "Error parsing" not in line)
        return f"{error.override.removeprefix('++')!r} cannot be read as key=value: {reason}"
    return "\n".join(str(error).splitlines()[:3])


def _message(call: Callable[[], object]) -> str:
    try:
        call()
    except UsageError as error:
        return str(error)
    raise AssertionError("a broken plugin has a message")


def _nearest_key(key: str, arguments: Sequence[str]) -> str:
    """The keys most like ``key`` in the configuration as its groups are chosen."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    from .config import GROUPS, flat

    GlobalHydra.instance().clear()
    groups = (*GROUPS, "model", "experiment", "tracking")
    chosen = [argument for argument in arguments if argument.partition("=")[0] in groups]
    with initialize_config_dir(str(beside_or_inside("conf")), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", chosen), throw_on_missing=False)
    assert isinstance(config, dict)
    keys = [name for name in flat({str(k): v for k, v in config.items()}) if not name.endswith(".name")]
    keys = list(dict.fromkeys([*keys, *map(str, config)]))
    leaf = key.rpartition(".")[2]
    same = sorted(name for name in keys if name.rpartition(".")[2] == leaf)
    if same:
        return f"nearest: {', '.join(same)}"
    group, _, _ = key.rpartition(".")
    inside = [name for name in keys if group and name.startswith(f"{group}.")]
    return nearest(key, inside or keys)
